"""The providers of `make matrix`: how each is started, what a person types there, and what it does not have."""

import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from tests.matrix.environments import ROOT, CannotBeHad, environment, tool
from tests.matrix.providers.journey import BACKCHANNEL, CLIENT_ID, HOME, SECRET, Journey
from tests.matrix.running import next_port, process, wait_until_answering
from tests.tools.site import HTTPS_URI

HERE = Path(__file__).parent
NODE = ROOT / "tests" / "oauth2"
LIFETIME = 50  # seconds: less than is left when an access token is refreshed


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """`server` is the script below `servers/` that runs in an environment with `packages`, or "" for oidc-provider.

    `issuer` and `options` may have `{origin}` in them, which becomes the server's. `lacks` are steps that it does not
    have though its discovery document does not say so; `notes` is for the table.
    """

    name: str
    server: str = ""
    packages: tuple[str, ...] = ()
    issuer: str = "{origin}"
    answers: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    lacks: frozenset[str] = frozenset()
    notes: str = ""


_ADA = {"login": "ada", "password": "any", "sub": "ada", "username": "ada"}

PROVIDERS = (
    Provider(name="oidc-provider", answers=_ADA, notes="npm; certified"),
    Provider(name="Authlib", server="authlib_server.py", packages=("authlib", "flask", "joserfc"), answers=_ADA),
    Provider(
        name="django-oauth-toolkit",
        server="django_server.py",
        packages=("django-oauth-toolkit", "waitress"),
        issuer="{origin}/o",
        answers={"username": "ada", "password": "a-password"},
    ),
    Provider(
        name="oidc-provider-mock",
        server="mock_server.py",
        packages=("oidc-provider-mock", "a2wsgi", "uvicorn"),
        answers=_ADA,
    ),
    Provider(name="pyop", server="pyop_server.py", packages=("pyop", "flask"), answers=_ADA),
    Provider(
        name="canaille",
        server="canaille_server.py",
        packages=("canaille[oidc]", "waitress"),
        answers={"login": "ada", "password": "correct horse battery staple"},
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


def _command(provider: Provider, port: int, metadata: str) -> Sequence[str]:
    if not provider.server:
        if not (NODE / "node_modules" / "oidc-provider").is_dir():
            raise CannotBeHad("oidc-provider is not installed: npm ci --prefix tests/oauth2")
        return [tool("node"), str(NODE / "provider.mjs"), metadata, str(port), json.dumps({"AccessToken": LIFETIME})]
    programs = environment(provider.packages, python="3.11")
    return [str(programs / "python"), str(HERE / "servers" / provider.server), str(port), metadata]


@contextmanager
def running(provider: Provider, folder: Path) -> Iterator[Journey]:
    """The provider in a process of its own, with its log in `folder`. Raises `CannotBeHad`."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = next_port()
        metadata = json.dumps(client(bound.getsockname()[1]))
        origin = f"http://127.0.0.1:{port}"
        issuer = provider.issuer.format(origin=origin)
        options = {name: value.format(origin=origin) for name, value in provider.options.items()}
        discovery = options.get("discovery_url") or f"{issuer}/.well-known/openid-configuration"
        argv = _command(provider, port, metadata)
        with process(argv, log=folder / "server.log", environ=os.environ, folder=NODE if not provider.server else folder) as started:
            with httpx2.Client(timeout=30) as http:
                wait_until_answering(http, discovery, [started])
            yield Journey(
                issuer=issuer, bound=bound, answers=dict(provider.answers), options=options, lacks=provider.lacks
            )
