"""Studies of latent spaces: what `shipgen latent` does."""
