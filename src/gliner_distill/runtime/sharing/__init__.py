"""Save a student with its card, and publish it on the hub."""
