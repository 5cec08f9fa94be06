"""The application's own users: which of them a person of XWMS is, and what the application is told of a login."""
