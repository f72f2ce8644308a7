"""Starting and ending a job: Beam's options, the progress display, the JSON log, the exit code."""
