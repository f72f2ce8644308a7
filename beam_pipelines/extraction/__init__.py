"""One film, from its file to its feature record: what is missing, extracting, cutting and joining. No Beam."""
