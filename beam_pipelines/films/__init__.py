"""Which films there are: folders, globs and manifests, and the file names of MediaEval's data sets."""
