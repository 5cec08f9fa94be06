"""What developers are told about an error."""
