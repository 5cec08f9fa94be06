"""Hostile and honest input as plain data, one noun a module; no code under test is imported here."""
