"""Running the local XWMS in this process, for `dev` and `sandbox`. It needs the extra `sandbox`."""

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from xwms_auth.cli.environment import xwms_variables
from xwms_auth.cli.terminal import Failure

if TYPE_CHECKING:
    from xwms_auth.sandbox import SandboxServer, SandboxSettings


@contextmanager
def until_interrupted() -> Generator[None]:
    """Ctrl-C and SIGTERM both end the block and everything it started, and are not an error."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        yield


@contextmanager
def refused_settings() -> Generator[None]:
    """Settings that cannot be are one line."""
    try:
        yield
    except ValueError as wrong:
        raise Failure(str(wrong)) from None


@contextmanager
def listening(server: "SandboxServer", *, where: str, again: str) -> Generator["SandboxServer"]:
    """The server, while it listens. `again` is the command to try where it cannot."""
    from xwms_auth.sandbox.db import DatabaseUnusable  # noqa: PLC0415  an extra

    try:
        server.start()
    except DatabaseUnusable as fault:
        raise Failure(f"{fault} Choose another file with --db.") from None
    except OSError as fault:
        # Without the text of the exception, which says it twice.
        reason = os.strerror(fault.errno) if fault.errno else str(fault)
        raise Failure(f"cannot listen on {where} ({reason}): choose another one, as in: {again}") from None
    try:
        yield server
    finally:
        server.stop()


def one_for_each_host(redirect_uris: tuple[str, ...]) -> tuple[str, ...]:
    """The first redirect URI on each host: an app has one there, and further ones are those of other apps."""
    first = dict[tuple[str | None, int], str]()
    for uri in redirect_uris:
        url = urlsplit(uri)
        first.setdefault((url.hostname, url.port or (443 if url.scheme == "https" else 80)), uri)
    return tuple(first.values())


def variables_of(settings: "SandboxSettings", server: "SandboxServer", *, session_secret: str) -> dict[str, str]:
    """Every variable that an app needs."""
    issuer = settings.issuer or server.url
    return xwms_variables(
        client_id=settings.client_id,
        client_secret=settings.client_secret,
        domain=settings.domain,
        redirect_uris=one_for_each_host(settings.redirect_uris),
        api_url=server.api_url,
        issuer=issuer,
        discovery_url=None if issuer == server.url else server.discovery_url,
        session_secret=session_secret,
    )
