"""Adapters for the programs of other people; each is imported by itself and needs its extra."""
