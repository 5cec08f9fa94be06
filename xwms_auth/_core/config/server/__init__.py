"""What is known of an authorization server."""
