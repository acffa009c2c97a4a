"""Load models by name and measure their quality and speed."""
