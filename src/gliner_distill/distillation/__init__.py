"""Distill a teacher into a student: texts and labels in, a folder that `StudentNER` loads out."""
