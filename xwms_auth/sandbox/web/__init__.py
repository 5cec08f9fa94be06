"""The API and the pages of the local XWMS."""
