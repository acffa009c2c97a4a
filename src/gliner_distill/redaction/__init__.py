"""Replace entities in a text, and restore them from a mapping. Light to import."""
