"""Download from the Hugging Face Hub, upload to it, and write the cards that it shows."""
