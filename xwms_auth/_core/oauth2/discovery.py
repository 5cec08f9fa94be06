"""The authorization server's metadata and keys: fetched once per process, cached, and refreshed when needed.

One request fetches a document, and the others wait for it, or use the old one. If the server is down when a document is
to be fetched again, the old one is used a while longer.
"""

from typing import TypeVar

from ..base import events
from ..base.effects import CallXWMS, Steps, ask
from ..base.errors import APIError, BadAnswer, Timeout, Unreachable
from ..base.memory.limits import Waiting
from ..base.strict_json import JSONObject
from ..config.context import Context
from ..config.server.cache import Fetched
from ..config.server.metadata import Metadata, discover, read_keys, read_metadata, well_known
from . import endpoints
from .jwt import SignedJWT

T = TypeVar("T")

FETCH_POLL_INTERVAL = 0.02
"""Seconds between two checks whether another request has fetched the same document."""


def metadata_for(context: Context, *, now: int) -> Steps[Metadata]:
    """Return the server's metadata: configured, cached, or fetched now."""
    known = context.config.metadata or context.state.server.metadata.get(now)
    if known is not None:
        return known
    fetch = _fetch_metadata(context)
    return (yield from _fetch_once(context, context.state.server.metadata, fetch, "metadata", now=now))


def keys_for(
    context: Context, metadata: Metadata, token: SignedJWT, *, is_direct: bool = False, now: int
) -> Steps[tuple[JSONObject, ...]]:
    """Return the server's keys: cached, unless the token's key is not among them, as after a key rotation.

    `is_direct` is whether the token comes from the server itself, and not from anybody.
    """
    if metadata.jwks_uri is None:
        raise BadAnswer("the server has no jwks_uri, in its discovery document or as XWMS_JWKS_URI")
    server = context.state.server
    cached = server.keys.get(now)
    if cached is not None:
        is_fetching = server.keys.is_being_fetched(now)
        if token.keys(cached) or not (is_fetching or server.may_refetch_keys(now, is_direct=is_direct)):
            return cached
    fetch = _fetch_keys(metadata.jwks_uri)
    return (yield from _fetch_once(context, server.keys, fetch, "keys", is_urgent=cached is not None, now=now))


def _fetch_once(
    context: Context, document: Fetched[T], fetch: Steps[T], what: str, *, is_urgent: bool = False, now: int
) -> Steps[T]:
    """Fetch a document, or wait for the request that does. If it `is_urgent` the old one is of no use."""
    attempts, limit = document.attempts, 2 * int(context.config.timeout_seconds) + 2
    with Waiting(context.config.max_slow_calls) as waiting:
        later = now
        while not document.begin(until=later + limit, now=later):
            old = None if is_urgent else document.old(now)
            if old is not None:
                return old
            yield from waiting.pause(FETCH_POLL_INTERVAL)
            later = now + int(waiting.seconds)
            if document.attempts == attempts:
                continue
            attempts, found = document.attempts, document.get(later)
            if (error := document.error) is not None:
                raise type(error)(error.cause, upstream_status=error.upstream_status, retry_after=error.retry_after)
            if found is not None:
                return found
    has_ended = False
    try:
        if document.attempts != attempts and (found := document.get(now)) is not None:
            return found  # another request has fetched it just before
        new = yield from fetch
        document.learn(new, now)
        has_ended = True
    except APIError as error:
        document.failed(error)
        has_ended = True
        old = None if is_urgent else document.old(now)
        if old is None or not _is_outage(error):
            raise
        document.extend(now)
        events.warning("server_documents_not_renewed", what=what, cause=str(error), hint="the old ones are used")
        return old
    else:
        return new
    finally:
        if not has_ended:
            document.cancelled()


def _is_outage(error: APIError) -> bool:
    return isinstance(error, Unreachable | Timeout) or (error.upstream_status or 0) >= 500


def _fetch_metadata(context: Context) -> Steps[Metadata]:
    config = context.config
    places = {"the discovery URL": config.discovery_url}
    if not config.discovery_url:
        places = dict(zip(("OpenID Connect", "RFC 8414"), well_known(config.issuer), strict=True))
    failures: list[str] = []
    status: int | None = None
    for place, url in places.items():
        metadata = read_metadata(
            (yield from ask(CallXWMS(discover(url)))),
            issuer=config.issuer,
            allow_http=config.insecure_allow_http,
            named=dict(config.named_endpoints),
            needed=("jwks_uri" if config.openid else "userinfo_endpoint",),
            client_auth=config.client_auth,
        )
        if isinstance(metadata, Metadata):
            for cause in metadata.unusable:
                events.warning("endpoint_not_usable", cause=cause, hint="it is left out")
            return metadata
        failures.append(f"{place}: {metadata.cause}")
        status = metadata.upstream_status
    raise BadAnswer(f"the issuer has no discovery document ({'; '.join(failures)})", upstream_status=status)


def _fetch_keys(url: str) -> Steps[tuple[JSONObject, ...]]:
    return read_keys((yield from ask(CallXWMS(endpoints.ask_for_keys(url)))))
