"""What a new local XWMS begins with."""
