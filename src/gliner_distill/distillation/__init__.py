"""Turn documents, labels and a teacher into a student."""
