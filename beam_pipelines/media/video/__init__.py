"""Pictures of a film: one a second, decoded with as few packets as that takes."""
