"""The commands: one file each, with its options, its help and its main."""
