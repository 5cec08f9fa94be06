"""What browsers load from our own routes."""
