"""The physics of the simulation: cascade, decays, conversions, heavy flavours, range."""
