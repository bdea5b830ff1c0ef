"""The training loop, what it keeps and how it judges: run folder, checkpoints, figure of merit, pictures."""
