"""What is sent back: redirects, pages, problem documents, and the headers of each."""
