"""The runtime's own kernel: products, LSTM layers and the search for spans, in C and numpy."""
