"""Teachers: the protocol, GLiNER models, and ensembles of several."""
