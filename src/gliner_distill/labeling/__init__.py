"""Ask a teacher about a corpus and store its answers."""
