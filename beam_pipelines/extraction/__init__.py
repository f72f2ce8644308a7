"""One film, from its file to its feature record: finding what is missing, extracting, cutting, joining. No Beam."""
