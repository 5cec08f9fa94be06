"""What stands between the flows and ASGI, and Starlette."""
