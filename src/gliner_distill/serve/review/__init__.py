"""Disagreements of a distillation, which a person judges on the page."""
