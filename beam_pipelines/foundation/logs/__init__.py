"""The log as JSON lines, in a job's own process and in Beam's workers."""
