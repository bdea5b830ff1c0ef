"""Searches for the settings of a model: what `shipgen tune` does."""
