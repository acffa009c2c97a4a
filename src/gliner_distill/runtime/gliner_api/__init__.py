"""The rest of GLiNER's interface: a student has it beside its predictions."""
