"""Readers of annotated passages, plain documents and label lists; no torch and no pyarrow."""
