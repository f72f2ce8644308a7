"""The statistics of `prepare`: tf.Transform's preprocessing function and its configuration."""
