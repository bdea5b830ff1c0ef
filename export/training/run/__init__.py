"""A run folder: what a training keeps."""
