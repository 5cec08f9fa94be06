"""The server and the clients of login_cost.py."""
