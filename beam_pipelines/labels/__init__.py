"""Labels: files of every layout, read and aligned with a film's one-second clock. No TensorFlow."""
