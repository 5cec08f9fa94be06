"""Tests have a database of their own, which is named before `app.py` is imported and opens it."""

import os
import tempfile
from pathlib import Path

folder = Path(tempfile.mkdtemp())
os.environ["DATABASE_URL"] = f"sqlite+aiosqlite:///{folder / 'support-desk.sqlite3'}"
os.environ["XWMS_SESSION_STORE"] = f"sqlite:///{folder / 'sessions.sqlite3'}"
