"""The same small application five times: how many of its lines link people to its own users."""
