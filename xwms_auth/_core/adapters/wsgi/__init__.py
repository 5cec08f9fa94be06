"""What stands between the flows and WSGI."""
