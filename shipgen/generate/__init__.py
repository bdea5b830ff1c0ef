"""From a bundle and a plan to muons in memory."""
