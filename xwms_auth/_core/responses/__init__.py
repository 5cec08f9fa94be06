"""HTTP responses: redirects, pages, problem documents, and the headers of access control and caching."""
