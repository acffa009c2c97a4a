"""The published experiment: run it again, and report the results beside the published ones."""
