"""The search for a configuration: studies, folds, plots."""
