"""The Flask app of a local XWMS: combines settings, database, API, pages and dashboard, and checks the Host header.

The app keeps no reference to the settings: only the digest of the client secret is kept.
"""

import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from xwms_auth.sandbox.dashboard import DASHBOARD_PREFIX, Dashboard, dashboard_routes
from xwms_auth.sandbox.db import Database
from xwms_auth.sandbox.domain.urls import host_name, is_address, is_loopback, parse_http_url
from xwms_auth.sandbox.faults.catalogue import Faults, parse_fault
from xwms_auth.sandbox.faults.injection import install_faults
from xwms_auth.sandbox.oauth import Deliveries, oauth_routes
from xwms_auth.sandbox.seed.defaults import found
from xwms_auth.sandbox.seed.demo import seed_demo
from xwms_auth.sandbox.settings import SandboxSettings
from xwms_auth.sandbox.web.api import Api
from xwms_auth.sandbox.web.pages import Pages
from xwms_auth.sandbox.web.responses import Refusal, add_headers, on_error

MAX_BODY: Final = 64 * 1024  # bytes; the largest legitimate request is a few hundred

_log = logging.getLogger("xwms_auth.sandbox")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """The parts of a local XWMS behind HTTP, for tests and for the code that starts it."""

    database: Database
    faults: Faults
    deliveries: Deliveries


def create_app(
    settings: SandboxSettings,
    *,
    clock: Callable[[], float] = time.time,
    public_url: str = "http://127.0.0.1:8800",
    any_host: bool = False,
) -> Flask:
    """A local XWMS as a WSGI app; `app.extensions["xwms_sandbox"]` is its `Inside`.

    clock: seconds since the epoch.
    public_url: the URL that browsers use; sign-in URLs are built from it and never from a request.
    any_host: accept any Host header, for a server that other machines should reach.
    Raises ValueError for a `public_url` that is not an absolute http(s) URL, and `DatabaseUnusable`.
    """
    public_url = public_url.rstrip("/")
    issuer = settings.issuer or public_url
    own_host = host_name(parse_http_url(public_url).netloc)

    database = Database(settings.database)
    with database.work() as session:
        found(session, settings, now=clock())
        if settings.seed:
            seed_demo(session, now=clock())
    deliveries = Deliveries(database=database, clock=clock, issuer=issuer)
    inside = Inside(database=database, faults=Faults(), deliveries=deliveries)
    for fault in settings.faults:
        inside.faults.add(parse_fault(fault))
    api = Api(
        database=database, clock=clock, public_url=public_url, token_lifetime=settings.token_lifetime.total_seconds()
    )
    pages = Pages(
        database=database,
        clock=clock,
        public_url=public_url,
        issuer=issuer,
        callback_token=settings.callback_token,
        auto_login=settings.auto_login,
        remembers=settings.database is not None,
    )
    oauth = oauth_routes(
        database=database,
        clock=clock,
        issuer=issuer,
        public_url=public_url,
        auto_login=settings.auto_login,
        access_lifetime=settings.access_token_lifetime.total_seconds(),
        deliveries=deliveries,
    )
    dashboard = Dashboard(
        database=database,
        clock=clock,
        public_url=public_url,
        issuer=issuer,
        faults=inside.faults,
        tell_logouts=deliveries.announce,
    )

    app = Flask(__name__)
    # Only the dashboard has a cookie. Cookies ignore ports, so the name separates two sandboxes on one machine.
    app.secret_key = secrets.token_bytes(32)
    app.config["SESSION_COOKIE_NAME"] = f"xwms_dashboard_{urlsplit(public_url).port or 'public'}"
    app.config["SESSION_COOKIE_PATH"] = DASHBOARD_PREFIX
    app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
    app.config["SESSION_COOKIE_SECURE"] = urlsplit(public_url).scheme == "https"
    app.extensions["xwms_sandbox"] = inside
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False  # XWMS documents no OPTIONS, and this app has no CORS
    app.url_map.merge_slashes = False  # Werkzeug would respond with a redirect that it builds from the Host header
    app.register_blueprint(api.blueprint())
    app.register_blueprint(pages.blueprint())
    app.register_blueprint(oauth)
    app.register_blueprint(dashboard_routes(dashboard))
    app.register_error_handler(HTTPException, on_error)

    def refuse_foreign_hosts() -> None:
        # DNS rebinding: evil.example resolves its own name to 127.0.0.1, and its page then has the same origin as this
        # server in the browser. It cannot change the Host header.
        name = host_name(request.headers.get("Host"))
        if name is not None and (name == own_host or is_loopback(name)):
            return
        # A server for other machines has names that it cannot know. The dashboard accepts only IP addresses, which an
        # attacker's name cannot be.
        if any_host and (is_address(name) or not request.path.startswith(DASHBOARD_PREFIX)):
            return
        if request.endpoint == "static":  # the same for everybody; the page of this refusal is shown with it
            return
        own = "an IP address or its own address" if any_host else "its own address"
        raise Refusal(421, f"This local XWMS answers at {own} only.", link=f"{public_url}/")

    app.before_request(refuse_foreign_hosts)
    install_faults(app, inside.faults)
    app.after_request(add_headers)
    app.after_request(_log_without_token)
    return app


def _log_without_token(response: Response) -> Response:
    # The path only where its variable parts are numbers: otherwise the rule, since `/sign-in/<token>` has a token. A
    # path without a route may have anything in it.
    rule, parts = request.url_rule, request.view_args or {}
    path = request.path if rule and all(isinstance(part, int) for part in parts.values()) else rule or "(no route)"
    _log.info("%s %s %s", request.method, path, response.status_code)
    return response
