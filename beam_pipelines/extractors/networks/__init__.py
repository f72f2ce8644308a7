"""The networks, one file each: batches of pictures or sounds in, vectors out."""
