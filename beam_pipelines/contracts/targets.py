"""The targets: what a model predicts for every second of a film, and what labels hold."""

from typing import Literal

Target = Literal["valence", "arousal"]

TARGETS: tuple[Target, ...] = ("valence", "arousal")
"""The columns of a label, prediction or curve array, in this order; where a model has one target, that one alone."""
