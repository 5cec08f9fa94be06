"""Tests have a database of their own, which is named before `app.py` is imported and opens it."""

import os
import tempfile
from pathlib import Path

os.environ["SUPPORT_DESK_DB"] = str(Path(tempfile.mkdtemp()) / "support-desk.sqlite3")
