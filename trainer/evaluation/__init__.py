"""Curves against labels: metrics, baselines, run files of the task."""
