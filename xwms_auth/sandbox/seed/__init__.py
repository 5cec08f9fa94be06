"""The initial data of a local XWMS."""
