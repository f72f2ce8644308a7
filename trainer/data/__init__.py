"""Records and labels as training data: films in memory, windows, the transform graph."""
