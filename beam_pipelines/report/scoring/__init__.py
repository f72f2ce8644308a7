"""The page of a scoring run: the catalogue, a sheet a film, thumbnails, labels."""
