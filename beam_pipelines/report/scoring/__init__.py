"""The page of a scoring run: the catalogue, one sheet per film, thumbnails, labels."""
