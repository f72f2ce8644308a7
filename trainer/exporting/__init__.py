"""The exported model: SavedModel, versions, ensembles."""
