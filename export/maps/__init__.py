"""Coordinates and normalisations: features to normal numbers and back."""
