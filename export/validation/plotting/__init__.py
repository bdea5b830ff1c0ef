"""What `shipgen plot` draws: bins, sums of files, the picture."""
