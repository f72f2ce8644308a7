"""Scheduled retraining: a round's films and jobs, the promotion test, the pointer `current` to the version in use."""
