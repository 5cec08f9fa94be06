"""What an application keeps about the people who log in."""
