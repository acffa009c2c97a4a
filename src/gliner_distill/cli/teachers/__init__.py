"""Options of the commands that ask teachers."""
