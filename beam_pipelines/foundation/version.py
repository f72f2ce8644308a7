"""The version of this distribution, which records, models and manifests name."""

__version__ = "0.1.0"
