"""From pictures and sounds to feature vectors: networks, their weights and batches, and a film's tracks. No Beam."""
