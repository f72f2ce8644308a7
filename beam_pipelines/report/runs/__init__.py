"""Pages of trainings, studies and experiments."""
