"""Validation: how far generated muons can be trusted, measured against a reference."""
