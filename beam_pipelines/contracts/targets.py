"""The targets: what a model predicts of a film, second by second, and labels hold."""

TARGETS = ("valence", "arousal")
"""The columns of every label, prediction and curve array, in this order."""
