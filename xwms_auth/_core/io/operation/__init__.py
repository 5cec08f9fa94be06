"""What an application tells of its logins while it runs."""
