"""What Flask has beyond WSGI."""
