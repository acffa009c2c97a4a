"""Parts that every HTTP server of this package needs; no web framework is imported here."""
