"""The targets: what a model predicts for every second of a film, and what labels hold."""

TARGETS = ("valence", "arousal")
"""The columns of every label, prediction and curve array, in this order."""
