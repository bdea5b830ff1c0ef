"""The Pythia 8 cascade behind `shipgen simulate`: target, hadrons, forced decays, range, worker processes."""
