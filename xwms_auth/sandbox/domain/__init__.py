"""The domain model of the local XWMS: accounts, clients, people, approvals, grants."""
