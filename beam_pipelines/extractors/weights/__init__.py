"""Weight files: their addresses and hashes, their cache directory, and loading them into a network."""
