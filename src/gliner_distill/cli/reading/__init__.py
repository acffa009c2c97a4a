"""Reading for the commands: the documents of an input, their labels, and reading ahead."""
