"""A production: what is asked for, its output files, shards and their merge, clusters and batch systems."""
