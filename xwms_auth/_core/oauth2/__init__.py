"""OAuth 2.0 and OpenID Connect: the authorization code flow, tokens, and protection of APIs."""
