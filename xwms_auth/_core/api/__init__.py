"""XWMS's own API: each call, its message, and how an answer is read."""
