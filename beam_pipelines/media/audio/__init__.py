"""Sound of a film: one window a second, 16 kHz mono, on the clock of the pictures."""
