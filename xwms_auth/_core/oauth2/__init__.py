"""OAuth 2.0 and OpenID Connect: the code flow, the tokens, and APIs that take them."""
