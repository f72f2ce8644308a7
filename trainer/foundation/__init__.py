"""What all of the trainer stands on: its configuration, devices and workers, and locks."""
