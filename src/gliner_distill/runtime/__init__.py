"""Find entities in text with numpy and a kernel of our own. Needs neither torch nor pyarrow."""
