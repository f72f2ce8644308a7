"""A film on the one-second clock: probing, frame sampling, audio windows, damage. Imports no Beam and no TensorFlow."""
