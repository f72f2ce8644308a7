"""CineAffect's pipelines: from films to feature records, and from feature records to valence and arousal curves.

This module imports nothing, so that `import beam_pipelines.records` costs no Beam and no TensorFlow start-up.
"""

__version__ = "0.1.0"
