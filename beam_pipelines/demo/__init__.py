"""The demo: films that the project generates, and the run of all jobs on them."""
