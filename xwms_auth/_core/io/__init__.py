"""Network access and event loops: HTTP to XWMS, and running steps in sync and async code."""
