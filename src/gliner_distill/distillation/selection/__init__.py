"""Choose the passages that the teacher is asked about, where it does not read all of them."""
