"""SQLAlchemy 2.1 does not bring greenlet, which only its asyncio part needs: an application in plain code has none."""

import subprocess
import sys

PROGRAM = """
import sys
sys.modules["greenlet"] = None  # as if it were not installed

import flask
from sqlalchemy import create_engine
from xwms_auth import ConfigError, XWMSConfig
from xwms_auth.asgi import XWMSAuthMiddleware
from xwms_auth.flask import XWMSAuth
from xwms_auth.stores.sqlalchemy import SQLAlchemyStore, metadata

engine = create_engine(f"sqlite:///{sys.argv[1]}/app.sqlite3")
metadata.create_all(engine)


def config(store):
    return XWMSConfig(client_id="c", client_secret="a-client-secret", redirect_uris="https://app.example/cb",
                      session_secret="0123456789abcdefghijklmnopqrstuv", session_store=store)


app = flask.Flask(__name__)
auth = XWMSAuth(app, config(SQLAlchemyStore(engine)))
print(auth.sessions.list("17"))
XWMSAuthMiddleware(app, config(SQLAlchemyStore(engine)))  # in threads
XWMSAuthMiddleware(app, config("postgresql+psycopg://u@h/d"))  # the same
try:
    XWMSAuthMiddleware(app, config("postgresql+asyncpg://u@h/d"))
except ConfigError as error:
    print(error)
try:
    SQLAlchemyStore("sqlite:///x")
except ConfigError as error:
    print(error)
"""


def test_a_sync_engine_needs_none_and_what_does_says_so(tmp_path):
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] in ("[]", "()")
    assert "pip install 'sqlalchemy[asyncio]'" in done.stdout
    assert "needs an Engine or an AsyncEngine" in done.stdout


def test_the_tables_can_be_told_without_it():
    program = "import sys; sys.modules['greenlet'] = None; from xwms_auth.cli import main; main()"
    command = [sys.executable, "-c", program, "db", "sql", "postgresql+psycopg://u@h/d"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "CREATE TABLE xwms_sessions" in done.stdout
