"""Faults on demand: which there are, and how an answer is spoiled."""
