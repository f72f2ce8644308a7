"""Weight files: where they come from, their hashes, and how they get into a network."""
