"""The list of films, from a folder, a glob or a manifest, and the file names of MediaEval's data sets."""
