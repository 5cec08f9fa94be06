"""The authorization server's metadata and keys: fetched once per process, cached, and refreshed when needed."""

from ..base.effects import CallXWMS, Steps, ask
from ..base.errors import BadAnswer
from ..base.strict_json import JSONObject
from ..config.context import Context
from ..config.server_metadata import Metadata, discover, read_keys, read_metadata, well_known
from . import endpoints
from .jwt import SignedJWT


def metadata_for(context: Context, *, now: int) -> Steps[Metadata]:
    """Return the server's metadata: configured, cached, or fetched now."""
    cached = context.config.metadata or context.state.server.metadata(now)
    if cached is not None:
        return cached
    issuer, allow_http = context.config.issuer, context.config.insecure_allow_http
    for url in (context.config.discovery_url,) if context.config.discovery_url else well_known(issuer):
        response = yield from ask(CallXWMS(discover(url)))
        metadata = read_metadata(response, issuer=issuer, allow_http=allow_http)
        if metadata is not None:
            context.state.server.learn_metadata(metadata, now)
            return metadata
    raise BadAnswer("the issuer has no discovery document, neither for OpenID Connect nor for RFC 8414")


def keys_for(context: Context, metadata: Metadata, token: SignedJWT, *, now: int) -> Steps[tuple[JSONObject, ...]]:
    """Return the server's keys: cached, unless the token's key is not among them, as after a key rotation."""
    if metadata.jwks_uri is None:
        raise BadAnswer("the server has no jwks_uri")
    cached = context.state.server.keys(now)
    if cached is not None and (token.keys(cached) or not context.state.server.may_ask_for_keys(now)):
        return cached
    keys = read_keys((yield from ask(CallXWMS(endpoints.ask_for_keys(metadata.jwks_uri)))))
    context.state.server.learn_keys(keys, now)
    return keys
