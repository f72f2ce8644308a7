"""What pictures and sound show without any network: light, colour, motion, cuts; loudness, spectrum, onsets, pitch."""
