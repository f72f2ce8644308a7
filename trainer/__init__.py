"""CineAffect's trainer: from feature records and labels to an exported model.

Knows nothing of Beam. Of `beam_pipelines` it uses only the pure foundation that all jobs share: records, smoothing,
catalogue, configuration, storage and errors.
"""
