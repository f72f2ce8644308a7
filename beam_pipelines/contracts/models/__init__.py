"""Exported models (contract 2): the SavedModel, its card, and which version is in use."""
