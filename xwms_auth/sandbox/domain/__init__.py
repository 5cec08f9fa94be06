"""What the local XWMS is about: accounts, clients, people, approvals, grants."""
