"""From the pictures of successive seconds to the track `picture_signals`."""

from __future__ import annotations

import numpy as np

from beam_pipelines.extractors.signals.cuts import change_columns, thumbnail_of
from beam_pipelines.extractors.signals.light import LINES, light_and_colour
from beam_pipelines.extractors.signals.motion import motion_of
from beam_pipelines.media.video.picture_shape import PictureShape
from beam_pipelines.media.video.resize import resize_image
from beam_pipelines.media.video.sample_frames import SampledFrame

_OF_A_SECOND = 9


def second_of_picture(frame: SampledFrame, shape: PictureShape) -> np.ndarray:
    """The values of one second alone: the columns before the change, the gap of key frames, the picture's thumbnail."""
    image = shape.one_moment(frame.image)
    height_px, width_px = image.shape[:2]
    sides_px = shape.square_size_px(height_px, width_px, LINES)
    small = resize_image(image, *sides_px) if sides_px[0] < image.shape[0] else image
    return np.concatenate([light_and_colour(small), motion_of(frame.pair), [frame.key_gap_s], thumbnail_of(small)])


def film_of_pictures(seconds: np.ndarray) -> np.ndarray:
    """The columns of a film, float32 [T, 12], from `second_of_picture` of all its seconds."""
    changes = change_columns(seconds[:, _OF_A_SECOND + 1 :], seconds[:, _OF_A_SECOND])
    return np.concatenate([seconds[:, :_OF_A_SECOND], changes], axis=1).astype(np.float32)
