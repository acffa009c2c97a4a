"""Labeling: ask a teacher about a corpus and store its probabilities."""
