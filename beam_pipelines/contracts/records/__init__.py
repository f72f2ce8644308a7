"""Feature records (contract 1): a film's features on the one-second clock, written and read as TFRecord files."""
