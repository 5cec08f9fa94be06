"""The OAuth side of a sandbox without Authlib: every route says, also in the terminal, which extra to install."""

import logging
from importlib.util import find_spec
from typing import Final, NoReturn

from flask import Blueprint

from xwms_auth.sandbox.web.responses import OAUTH_METADATA, Refusal

NEEDS_EXTRA: Final = "OAuth 2.0 needs Authlib in the environment of this local XWMS: pip install 'xwms-auth[oauth2]'"

_log = logging.getLogger("xwms_auth.sandbox")


def is_installed() -> bool:
    """Whether the extra is installed."""
    return all(find_spec(name) is not None for name in ("authlib", "joserfc"))


def blueprint() -> Blueprint:
    """The routes below /oauth/ and both discovery documents: 501, as a page or as JSON."""
    routes = Blueprint("oauth", __name__)
    for path in ("/oauth/<path:rest>", *OAUTH_METADATA):
        routes.add_url_rule(path, view_func=_refuse, methods=["GET", "POST"])
    return routes


def _refuse(rest: str = "") -> NoReturn:  # noqa: ARG001  a part of the path
    _log.warning(NEEDS_EXTRA)
    raise Refusal(501, NEEDS_EXTRA)
