"""Experiments over seeds and variants: the paper's runs and comparisons, step by step."""
