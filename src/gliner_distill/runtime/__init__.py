"""Find entities in text with numpy and onnxruntime. Needs neither torch nor pyarrow."""
