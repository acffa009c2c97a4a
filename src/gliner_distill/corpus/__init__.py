"""Read annotated passages and plain documents. Needs neither torch nor pyarrow."""
