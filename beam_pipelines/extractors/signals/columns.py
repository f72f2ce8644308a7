"""The columns of the two signal modalities, in order; docs/formats.md has the unit and the source of each."""

from __future__ import annotations

PICTURE_SIGNALS = "picture_signals"
SOUND_SIGNALS = "sound_signals"

PICTURE_COLUMNS = (
    "luminance_mean",
    "luminance_deviation",
    "colourfulness",
    "saturation",
    "warmth",
    "sharpness",
    "motion_difference",
    "motion_median",
    "motion_p90",
    "change",
    "cuts_10s",
    "cuts_30s",
)

SOUND_COLUMNS = (
    "loudness_momentary_lufs",
    "loudness_short_term_lufs",
    "loudness_integrated_lufs",
    "loudness_range_lu",
    "silence",
    "spectral_centroid_hz",
    "spectral_flatness",
    "onsets",
    "pitch_hz",
    "pitch_clarity",
    "harmonic_share",
)

COLUMNS = {PICTURE_SIGNALS: PICTURE_COLUMNS, SOUND_SIGNALS: SOUND_COLUMNS}
"""Modality -> the names of its track's columns; a track's description has them under `columns`."""
