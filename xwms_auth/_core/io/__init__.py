"""Everything that touches a socket, a clock or a loop, sync and async."""
