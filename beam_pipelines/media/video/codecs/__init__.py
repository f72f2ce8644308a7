"""What the headers of a codec's packets say of which packet needs which."""
