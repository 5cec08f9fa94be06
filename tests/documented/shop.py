"""The Flask application of which docs/testing.md speaks."""

from typing import Any

from flask import Flask, request
from markupsafe import escape

from xwms_auth import NotAllowed
from xwms_auth.accounts import Hooks, LoggedIn
from xwms_auth.flask import XWMSAuth, current_user, login_required

BLOCKED = "1003"


def check(event: LoggedIn) -> None:
    if event.user.sub == BLOCKED:
        raise NotAllowed


def create_app(config: Any = None) -> Flask:
    app = Flask(__name__)
    XWMSAuth(app, config, hooks=Hooks(login=check))
    messages: list[tuple[str, str]] = []

    @app.get("/")
    @login_required
    def home() -> str:
        return f"Hello {escape(current_user.display_name)}"

    @app.route("/messages", methods=["GET", "POST"])
    @login_required
    def read_or_write() -> str:
        if request.method == "POST":
            messages.append((request.form["to"], request.form["text"]))
        return " ".join(text for to, text in messages if to == current_user.sub)

    @app.get("/delivery")
    @login_required(scopes=["address"])
    def delivery() -> str:
        return "Where to?"

    return app


app = create_app()
