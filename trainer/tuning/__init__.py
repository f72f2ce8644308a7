"""The search for the best configuration: studies, folds, plots."""
