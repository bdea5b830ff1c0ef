"""Figures of merit: weighted muons, the classifiers that tell two samples apart, and what they find."""
