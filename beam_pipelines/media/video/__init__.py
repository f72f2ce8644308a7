"""The pictures of a film: one per second, decoded from as few packets as possible."""
