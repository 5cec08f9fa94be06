"""Fault injection: which faults there are, and how they change a response."""
