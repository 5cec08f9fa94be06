"""Hashes, signatures and encryption."""
