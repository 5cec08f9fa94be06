"""Who is signed in: looked up, confirmed again, kept in fresh tokens, and ended."""
