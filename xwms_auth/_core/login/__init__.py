"""Our routes: starting a login, the callback, logout, and logouts that begin at the server."""
