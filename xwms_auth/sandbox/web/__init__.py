"""Pages and API of the local XWMS over HTTP."""
