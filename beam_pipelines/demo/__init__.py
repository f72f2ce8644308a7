"""The demonstration: films made by the project, and the run of the whole path on them."""
