"""What everything stands on: errors, configuration, storage, logs, starting TensorFlow. Knows no film and no model."""
