"""Enhanced bundles: more of the muons of a region, with the weights that make up for it."""
