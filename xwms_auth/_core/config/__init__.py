"""The settings of one client, and what a process works out from them."""
