"""Label files of every layout, read and put on a film's one-second clock. No TensorFlow."""
