"""What `prepare` computes: tf.Transform's preprocessing function (statistics, PCA) and its configuration."""
