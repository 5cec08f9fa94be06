"""What a local XWMS remembers: the tables, and the one way to read and change them.

Knows: SQLite, through SQLAlchemy.
Must not: know HTTP, pages, or what any of it is for.
"""

from xwms_auth.sandbox.db.database import Database, DatabaseUnusable

__all__ = ["Database", "DatabaseUnusable"]
