"""The one place of the version; setup.cfg reads it without importing the package."""

__version__ = "0.6.0"
