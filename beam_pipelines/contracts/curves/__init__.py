"""Curves (contract 3): a film's valence and arousal, their smoothing, their files and their table."""
