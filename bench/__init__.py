"""Benchmarks of shipgen, one a stage."""
