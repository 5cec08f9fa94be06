"""The database of a local XWMS: its tables, and the units of work that read and change them."""

from xwms_auth.sandbox.db.database import Database, DatabaseUnusable

__all__ = ["Database", "DatabaseUnusable"]
