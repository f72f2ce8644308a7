"""Scheduled retraining: a round's films and jobs, the promotion test, the pointer to the version in use."""
