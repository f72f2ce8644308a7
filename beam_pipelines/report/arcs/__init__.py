"""Films compared by the way they go: arcs of one length, their distance, the most similar films, families."""
