"""What the settings lead to: the session store, XWMS, its certificate and clock, and whether it takes the client."""

import asyncio
import inspect
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx2

from xwms_auth import AsyncXWMSClient
from xwms_auth._core.base.effects import Runtime, arun
from xwms_auth._core.base.errors import ConfigError, CredentialsRejected, XWMSError
from xwms_auth._core.base.models import Secret
from xwms_auth._core.config.config import XWMSConfig
from xwms_auth._core.config.context import Context
from xwms_auth._core.http.messages import Request
from xwms_auth._core.io.transport import AsyncHTTPTransport
from xwms_auth._core.responses.hints.developer_hints import hints_for
from xwms_auth.cli.doctor.fetching import Unreachable, ahead, fetch
from xwms_auth.cli.doctor.findings import Finding, fault, ok, skipped
from xwms_auth.stores import open_store
from xwms_auth.stores.memory import MemoryStore

MAX_SKEW: Final = 30
"""Seconds between two clocks that no login notices, and that a machine with NTP never has."""


def of_store(config: XWMSConfig) -> Iterator[Finding]:
    """Whether the session store can be written: a name is claimed and released, and no session is touched."""
    option = config.session_store
    if option == "cookie" and not config.revocation_store:
        yield ok("store", "sessions are in the browsers' cookies: nothing to reach")
        return
    if (path := _missing_file(config)) is not None:
        # It is not made here: it would belong to whoever runs this, such as root, and not to the application.
        if os.access(path.parent, os.W_OK | os.X_OK):
            yield ok("store", f"{path} is not there yet, and this user may make it")
        else:
            remedy = "let the user of the application write in its folder, and run this as that user"
            yield fault("store", f"{path} is not there, and this user may not make it", remedy)
        return
    kind = Secret(option).reveal().partition(":")[0] if isinstance(option, str | Secret) else type(option).__name__
    try:
        asyncio.run(_claim_and_release(config))
    except ConfigError as error:
        yield fault("store", "; ".join(error.problems), "install what it names")
    except XWMSError as error:
        yield fault(
            "store", f"{kind} cannot be used: {error.cause}", "is it running, and may this user reach and change it?"
        )
    else:
        yield ok("store", f"{kind} can be read and written")


def _missing_file(config: XWMSConfig) -> Path | None:
    """The file of SQLite that sessions are to be in and that is not there yet."""
    for option in (config.session_store, config.revocation_store):
        url = Secret(option).reveal() if isinstance(option, str | Secret) else ""
        if url.startswith("sqlite:///") and not (path := Path(url.removeprefix("sqlite:///"))).exists():
            return path
    return None


async def _claim_and_release(config: XWMSConfig) -> None:
    """With the driver that there is: one for async code only, such as asyncpg, is right in an ASGI application."""
    context = Context.of(config)
    try:
        store: Any = open_store(context)
    except ConfigError as error:
        try:
            store = open_store(context, is_async=True)
        except ConfigError:
            raise error from None
    name, now = f"doctor/{secrets.token_hex(8)}", int(time.time())
    claimed = store.claim(name, until=now + 60, now=now)
    if inspect.isawaitable(claimed):
        await claimed
    released = store.release(name)
    if inspect.isawaitable(released):
        await released


def of_xwms(config: XWMSConfig) -> Iterator[Finding]:
    """Whether XWMS is there, has the time, and takes the client and each redirect URI."""
    answers = list(_of_network(config))
    yield from answers
    if any(answer.state == "fault" for answer in answers):
        yield skipped("credentials", "they were not tried, because XWMS cannot be reached")
    elif config.flow == "oauth2":
        yield from _of_discovery(config)
    else:
        yield from _of_client(config)


def _of_network(config: XWMSConfig) -> Iterator[Finding]:
    url = config.api.origin + config.api.path if config.flow == "sign-token" else config.issuer
    began = time.monotonic()
    try:
        # Without the environment's proxies, as the login itself calls.
        with httpx2.Client(timeout=config.timeout_seconds, trust_env=False) as client:
            response = fetch(client, url, seconds=config.timeout_seconds)
    except Unreachable as error:
        text = f"{url} cannot be reached: {error}"
        remedy = (
            "check the address, the network, DNS, the firewall and certificates; proxies of the environment are ignored"
        )
        if config.api.loopback and config.flow == "sign-token":
            remedy = "is the local XWMS running? `xwms-auth sandbox` starts it"
        yield fault("network", text, remedy)
        return
    took = time.monotonic() - began
    yield ok(
        "network", f"{url} answers in {took * 1000:.0f} ms" + (", with a valid certificate" * url.startswith("https:"))
    )
    if (difference := ahead(response)) is None:
        yield skipped("clock", f"{url} does not say what time it is")
        return
    skew = round(difference + took / 2)
    if abs(skew) <= MAX_SKEW:
        yield ok("clock", f"this machine and XWMS differ by {abs(skew)} s at most")
    else:
        text = f"this machine's clock is {abs(skew)} s {'behind' if skew > 0 else 'ahead of'} that of XWMS"
        yield fault("clock", text, "synchronise it, as with systemd-timesyncd or chrony")


def _of_client(config: XWMSConfig) -> Iterator[Finding]:
    for uri in config.registered:
        error = asyncio.run(_refusal(config, uri.uri))
        if error is None:
            yield ok("redirect URI", f"XWMS takes the client, its secret, its domain, and {uri.uri}")
            continue
        request = Request(method="GET", path=uri.path, headers={"host": uri.netloc})
        subject = "credentials" if isinstance(error, CredentialsRejected) else "redirect URI"
        text = f"XWMS refuses a login for {uri.uri}: {error.code}"
        yield fault(subject, text + f", {error.cause}" * bool(error.cause), _remedy(error, config, request))
        if isinstance(error, CredentialsRejected):
            return


async def _refusal(config: XWMSConfig, redirect_uri: str) -> XWMSError | None:
    # Async, since the callable of the client secret may be.
    async with AsyncXWMSClient(config) as client:
        try:
            await client.sign_token(redirect_uri)
        except XWMSError as error:
            return error
    return None


def _of_discovery(config: XWMSConfig) -> Iterator[Finding]:
    from xwms_auth._core.oauth2.discovery import metadata_for  # noqa: PLC0415  needs an extra

    steps = metadata_for(Context.of(config), now=int(time.time()))
    try:
        asyncio.run(arun(steps, Runtime(AsyncHTTPTransport(config), MemoryStore())))
    except XWMSError as error:
        request = Request(method="GET", path="/")
        yield fault("discovery", f"{config.issuer}: {error.cause or error.code}", _remedy(error, config, request))
    else:
        yield ok("discovery", f"{config.issuer} has what a login needs")
        yield skipped("credentials", "only a login shows whether the server takes the client: --live begins one")


def _remedy(error: XWMSError, config: XWMSConfig, request: Request) -> str:
    """What to do, a line for each hint. The cause is in the text of the finding."""
    hints = [hint for hint in hints_for(error, config, request) if not hint.startswith("Cause: ")]
    return "\n".join(hints).replace("`", "") or error.detail
