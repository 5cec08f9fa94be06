"""The settings of one client, and what a process derives from them."""
