"""How a job starts, shows its progress and ends: Beam's options, the progress display, the exit code."""
