"""The trainer's commands: one file each, with its options, its help and its main. Only these import the report."""
