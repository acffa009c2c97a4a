"""Score words for labels with GLiNER, or with any other teacher."""
