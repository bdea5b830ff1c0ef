"""The model bundle and its networks."""
