"""HTTP messages, cookies and URLs, and what a browser reports about a request."""
