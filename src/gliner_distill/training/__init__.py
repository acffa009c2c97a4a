"""Train a student on soft labels and gold."""
