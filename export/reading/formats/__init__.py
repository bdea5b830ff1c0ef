"""The kinds of files of simulated muons, a reader each."""
