"""The Flask app of a local XWMS: puts settings, store, API and pages together, and guards the door.

Keeps no reference to the settings: of the client's secret only its digest goes on living here.
"""

import logging
import time
from collections.abc import Callable
from typing import Final

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from xwms_auth.sandbox.addresses import host_name, is_loopback, parse_http_url
from xwms_auth.sandbox.answers import Refusal, add_headers, on_error
from xwms_auth.sandbox.api import Api
from xwms_auth.sandbox.pages import Pages
from xwms_auth.sandbox.people import person_with
from xwms_auth.sandbox.settings import SandboxSettings
from xwms_auth.sandbox.store import Client, MemoryStore, sha256_of

MAX_BODY: Final = 64 * 1024  # bytes; the largest honest request is a few hundred

_log = logging.getLogger("xwms_auth.sandbox")


def create_app(
    settings: SandboxSettings,
    *,
    clock: Callable[[], float] = time.time,
    public_url: str = "http://127.0.0.1:8800",
    any_host: bool = False,
) -> Flask:
    """A local XWMS as a WSGI app; its store is `app.extensions["xwms_sandbox"]`.

    clock: seconds since the epoch.
    public_url: the address browsers use; sign-in URLs are built from it and never from a request.
    any_host: answer whatever Host a request names; for a server that is meant to be reached from other machines.
    Raises ValueError for a `public_url` that is not an absolute http(s) URL.
    """
    public_url = public_url.rstrip("/")
    own_host = host_name(parse_http_url(public_url).netloc)

    store = MemoryStore()
    store.put_client(
        Client(
            client_id=settings.client_id,
            secret_sha256=sha256_of(settings.client_secret),
            domain=settings.domain,
            redirect_uris=frozenset(settings.redirect_uris),
        )
    )
    api = Api(store=store, clock=clock, public_url=public_url, token_lifetime=settings.token_lifetime.total_seconds())
    pages = Pages(
        store=store,
        clock=clock,
        public_url=public_url,
        callback_token=settings.callback_token,
        auto_login=None if settings.auto_login is None else person_with(settings.auto_login),
    )

    app = Flask(__name__)
    app.extensions["xwms_sandbox"] = store
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False  # XWMS documents no OPTIONS, and this app allows no other origin
    app.url_map.merge_slashes = False  # Werkzeug would answer with a redirect that it builds from Host
    app.register_blueprint(api.blueprint())
    app.register_blueprint(pages.blueprint())
    app.register_error_handler(HTTPException, on_error)
    app.after_request(add_headers)
    app.after_request(_log_without_token)

    def refuse_foreign_hosts() -> None:
        # DNS rebinding: a page of evil.example points its own name at 127.0.0.1 and is then, to the browser, of the
        # same origin as this server. What it cannot change is the Host header.
        name = host_name(request.headers.get("Host"))
        if not any_host and (name is None or not (name == own_host or is_loopback(name))):
            raise Refusal(421, "This local XWMS answers on its own address only.")

    app.before_request(refuse_foreign_hosts)
    return app


def _log_without_token(response: Response) -> Response:
    # The rule (`/sign-in/<token>`), not the path: a token in a log is a token lost.
    _log.info("%s %s %s", request.method, request.url_rule or "(no route)", response.status_code)
    return response
