"""Text in other languages: how it is recognized, and the student that it starts from."""
