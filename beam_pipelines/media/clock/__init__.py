"""A film's clock: its first timestamp and length, jumps that are closed, and how the file itself counts."""
