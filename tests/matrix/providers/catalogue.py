"""The providers of `make matrix`: how each is started, what a person types there, and what it does not have."""

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx2

from tests.matrix.environments import ROOT, CannotBeHad, environment, tool
from tests.matrix.providers import glewlwyd
from tests.matrix.providers.journey import BACKCHANNEL, CLIENT_ID, HOME, SECRET, Journey
from tests.matrix.running import next_port, process, wait_until_answering
from tests.tools.site import HTTPS_URI

HERE = Path(__file__).parent
NODE = ROOT / "tests" / "oauth2"
LIFETIME = 50  # seconds: less than is left when an access token is refreshed


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """`server` is the script below `servers/` that runs in an environment with `packages`, or "" for oidc-provider.

    `issuer`, `options` and `named` may have `{origin}` in them, which becomes the server's. `named` and `differs` are
    those of `Journey`. `notes` is for the table: what was set there, and why.
    """

    name: str
    server: str = ""
    packages: tuple[str, ...] = ()
    issuer: str = "{origin}"
    answers: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str | bool] = field(default_factory=dict)
    named: Mapping[str, str] = field(default_factory=dict)
    differs: Mapping[str, str] = field(default_factory=dict)
    notes: str = ""


_ADA = {"login": "ada", "password": "any", "sub": "ada", "username": "ada"}


PROVIDERS = (
    Provider(name="oidc-provider", answers=_ADA, notes="certified"),
    Provider(
        name="Authlib",
        server="authlib_server.py",
        packages=("authlib", "flask", "joserfc"),
        answers=_ADA,
        notes="a library; without an `id_token_hint` it sends people back only where it is told to",
    ),
    Provider(
        name="django-oauth-toolkit",
        server="django_server.py",
        packages=("django-oauth-toolkit", "waitress"),
        issuer="{origin}/o",
        answers={"username": "ada", "password": "a-password"},
        named={
            "introspection_endpoint": "{origin}/o/introspect/",
            "revocation_endpoint": "{origin}/o/revoke_token/",
        },
        options={"introspection_token_type": "optional"},
        notes="its discovery document leaves out introspection and revocation, and its introspection `token_type`",
    ),
    Provider(
        name="oidc-provider-mock",
        server="mock_server.py",
        packages=("oidc-provider-mock", "a2wsgi", "uvicorn"),
        answers=_ADA,
        notes="takes any client and any person; for tests",
    ),
    Provider(name="pyop", server="pyop_server.py", packages=("pyop", "flask"), answers=_ADA, notes="a library"),
    Provider(
        name="canaille",
        server="canaille_server.py",
        packages=("canaille[oidc,sql]", "waitress"),
        answers={"login": "ada", "password": "correct horse battery staple"},
        notes="introspection needs an audience at the client, the way back from a logout `TRUSTED_DOMAINS`",
    ),
    Provider(
        name="glewlwyd",
        server="glewlwyd",
        options={"discovery_url": "{origin}/api/oidc/.well-known/openid-configuration", "id_token_hint": True},
        differs={
            "introspection": "it gives the list of scopes as `aud`, which `XWMS_AUDIENCE` does not take",
            "RP-initiated logout": "it logs the person out there, and sends nobody back",
            "back-channel logout": "begins with that logout",
        },
        notes="`XWMS_DISCOVERY_URL`: its discovery document is below its API; `XWMS_ID_TOKEN_HINT`",
    ),
)


def client(callback_port: int) -> dict[str, object]:
    """The metadata that the application is registered with (RFC 7591)."""
    return {
        "client_id": CLIENT_ID,
        "client_secret": SECRET,
        "redirect_uris": [HTTPS_URI],
        "post_logout_redirect_uris": [HOME],
        "grant_types": ["authorization_code", "refresh_token"],
        "backchannel_logout_uri": f"http://127.0.0.1:{callback_port}{BACKCHANNEL}",
        "backchannel_logout_session_required": True,
    }


def _command(provider: Provider, port: int, metadata: Mapping[str, object], folder: Path) -> tuple[list[str], Path]:
    """How it is started, and where."""
    if provider.server == "glewlwyd":
        return glewlwyd.command(port, folder), folder
    known = json.dumps(metadata)
    if not provider.server:
        if not (NODE / "node_modules" / "oidc-provider").is_dir():
            raise CannotBeHad("oidc-provider is not installed: npm ci --prefix tests/oauth2")
        lifetimes = json.dumps({"AccessToken": LIFETIME})
        return [tool("node"), str(NODE / "provider.mjs"), known, str(port), lifetimes], NODE
    programs = environment(provider.packages, python="3.11")
    return [str(programs / "python"), str(HERE / "servers" / provider.server), str(port), known], folder


@contextmanager
def running(provider: Provider, folder: Path) -> Iterator[Journey]:
    """The provider in a process of its own, with its log in `folder`. Raises `CannotBeHad` and `Failed`."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = next_port()
        metadata, origin = client(bound.getsockname()[1]), f"http://127.0.0.1:{port}"
        issuer = provider.issuer.format(origin=origin)
        options = {
            name: value.format(origin=origin) if isinstance(value, str) else value
            for name, value in provider.options.items()
        }
        argv, place = _command(provider, port, metadata, folder)
        pages: dict[str, Any] = {}
        with process(argv, log=folder / "server.log", environ=os.environ, folder=place) as started:
            with httpx2.Client(timeout=30) as http:
                if provider.server == "glewlwyd":
                    wait_until_answering(http, f"{origin}/config", [started])
                    glewlwyd.set_up(origin, metadata, LIFETIME)
                    pages = {"meet": partial(glewlwyd.sign_in, origin, CLIENT_ID), "detour": glewlwyd.detour}
                discovery = options.get("discovery_url") or f"{issuer}/.well-known/openid-configuration"
                wait_until_answering(http, discovery, [started])
            yield Journey(
                issuer=issuer, bound=bound, answers=dict(provider.answers), options=options, differs=provider.differs,
                named={name: value.format(origin=origin) for name, value in provider.named.items()}, **pages,
            )  # fmt: skip
