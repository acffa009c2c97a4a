"""Adapters for third-party programs. Each is imported separately and needs its own extra."""
