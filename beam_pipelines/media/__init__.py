"""A film on the one-second clock: probing, frame sampling and audio windows. Knows no Beam and no TensorFlow."""
