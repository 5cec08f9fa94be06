"""A way to log in: what it has to answer, the pending login, and XWMS's own protocol."""
