"""What the jobs meet in: feature records, exported models, curves. No Beam, and nothing of the trainer."""
