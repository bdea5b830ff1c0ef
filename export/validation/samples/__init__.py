"""The samples that are compared, whatever they come from."""
