"""Fixed batches, so that no vector depends on what shares its batch."""
