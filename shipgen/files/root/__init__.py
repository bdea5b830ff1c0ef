"""ROOT's own records: the file, its directory and keys, and the description of a tree."""
