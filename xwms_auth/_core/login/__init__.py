"""The login itself: our routes, the callback, and logouts that begin at the server."""
