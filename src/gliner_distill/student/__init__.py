"""The student model in torch: towers, heads, files and export."""
