"""The parts of GLiNER's interface that a student has besides its predictions."""
