"""The XWMS API: requests, response parsing, and the resources they carry."""
