"""What a process remembers, and what it allows, each with its bound."""
