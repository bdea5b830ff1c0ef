"""Files of arrays, for codes that read no ROOT: written and read in pieces, ours and those of others."""
