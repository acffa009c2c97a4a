"""What callers of a GLiNER find in a student besides its predictions, under GLiNER's names."""
