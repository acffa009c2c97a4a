"""Find e-mail addresses, URLs and other structured types by checked patterns. Light to import."""
