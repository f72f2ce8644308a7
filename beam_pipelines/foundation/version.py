"""The version of this distribution, as records, models and manifests name it."""

__version__ = "0.1.0"
