"""Fuzzers: each damages one kind of thing at random and says whether shipgen did right."""
