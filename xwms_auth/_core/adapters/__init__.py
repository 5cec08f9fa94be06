"""WSGI and ASGI: their messages, and what is known about one request."""
