"""Distil GLiNER into an LSTM student of at most 6M parameters."""

__version__ = "0.1.0"
