"""What the jobs hand to each other: feature records, exported models, curves. No Beam, and no import of the trainer."""
