"""The section `extract.face.detector`: an ONNX file that finds faces, in the place of MTCNN."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from beam_pipelines.extractors.network_inputs import PictureInput
from beam_pipelines.extractors.onnx_networks.config import OnnxFile, Pixels, Side, several


class DetectorConfig(Pixels, OnnxFile):
    """A network that finds faces in the whole picture, in the place of MTCNN.

    Attributes:
        size_px: side of its pictures, or their height and width.
        resize: how a picture gets there: `pad` puts black bars around it, `stretch` ignores its aspect ratio.
        boxes: the output of boxes, [n, N, 4]; several for several grids of cells.
        scores: the output of scores, [n, N], [n, N, 1] or (background, face) [n, N, 2]; as many as `boxes`.
        objectness: outputs like `scores`: a box's score is then the root of the product of both.
        coding: what the four numbers of a box are: its left, top, right and bottom as shares of the network's picture
            or in its pixels; or, for each cell of a grid, how far the centre is from the cell's left and top, and the
            logarithms of width and height, in cells (YuNet).
        strides_px: of `coding: cells`: the side of a cell of each of `boxes`.
        least_score: smallest score of a face.
        most_overlap: the largest share of the union that a face has in common with one of a better score.
    """

    cpu_batch_size: ClassVar[int] = 1
    gpu_batch_size: ClassVar[int] = 8

    size_px: Side | tuple[Side, Side]
    resize: Literal["pad", "stretch"] = "pad"
    boxes: str | tuple[str, ...]
    scores: str | tuple[str, ...]
    objectness: str | tuple[str, ...] | None = None
    coding: Literal["corners_in_shares", "corners_in_pixels", "cells"]
    strides_px: tuple[Side, ...] = ()
    least_score: float = Field(0.7, gt=0.0, lt=1.0)
    most_overlap: float = Field(0.3, ge=0.0, le=1.0)

    @model_validator(mode="after")
    def _outputs_that_belong_together(self) -> Self:
        wanted = len(several(self.boxes))
        if not wanted:
            raise ValueError("boxes: name an output")
        for key in ("scores", "objectness"):
            if getattr(self, key) is not None and len(several(getattr(self, key))) != wanted:
                raise ValueError(f"{key}: {len(several(getattr(self, key)))} outputs for {wanted} of boxes")
        if len(self.strides_px) != (wanted if self.coding == "cells" else 0):
            raise ValueError("strides_px: with `coding: cells`, one for each output of boxes; without it, none")
        return self

    def network_input(self) -> PictureInput:
        """What is made of a second's picture."""
        height_px, width_px = (self.size_px, self.size_px) if isinstance(self.size_px, int) else self.size_px
        return PictureInput(height_px, width_px, self.resize)

    def place(self, name: str) -> str:
        """Where the section stands, whatever the name."""
        return "extract.face.detector"

    def named_outputs(self) -> tuple[tuple[str, str], ...]:
        """Those of boxes, of scores, and of objectness, each with its key."""
        keys = ("boxes", "scores", "objectness")
        return tuple((name, key) for key in keys for name in several(getattr(self, key)))
