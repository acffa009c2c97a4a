"""Reading for the commands: the documents of the input, read in advance, and their labels."""
