"""The sound of a film: one window per second, 16 kHz mono, on the clock of the pictures."""
