"""Which packet needs which, read from the headers of a codec's packets."""
