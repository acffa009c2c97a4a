"""Readers of the annotations that other tools export; one module per tool."""
