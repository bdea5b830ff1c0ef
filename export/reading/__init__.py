"""Reading files of simulated muons, of whatever kind, into a prepared sample."""
