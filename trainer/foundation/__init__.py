"""What all rooms of the trainer use: its configuration, devices and workers, and locks."""
