"""What all rooms use: errors, configuration, storage, logs, starting TensorFlow. It knows no film and no model."""
