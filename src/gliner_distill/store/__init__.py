"""Soft labels on disk: Parquet shards and a manifest."""
