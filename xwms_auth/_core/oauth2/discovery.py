"""What is asked of the authorization server once, for everybody: its endpoints and its keys.

Knows: what is known already, and when to ask again.
Must not: know what the endpoints are for.
"""

from ..base.effects import CallXWMS, Steps, ask
from ..base.errors import BadAnswer
from ..base.strict_json import JSONObject
from ..config.context import Context
from ..config.server_metadata import Metadata, discover, read_keys, read_metadata, well_known
from . import messages as wire
from .jwt import SignedJWT


def metadata_for(context: Context, *, now: int) -> Steps[Metadata]:
    """The server's endpoints: configured, or known already, or asked for now."""
    known = context.config.metadata or context.state.server.metadata(now)
    if known is not None:
        return known
    issuer, allow_http = context.config.issuer, context.config.insecure_allow_http
    for url in well_known(issuer):
        reply = yield from ask(CallXWMS(discover(url)))
        metadata = read_metadata(reply, issuer=issuer, allow_http=allow_http)
        if metadata is not None:
            context.state.server.learn_metadata(metadata, now)
            return metadata
    raise BadAnswer("the issuer has no discovery document, neither of OpenID Connect nor of RFC 8414")


def keys_for(context: Context, metadata: Metadata, token: SignedJWT, *, now: int) -> Steps[tuple[JSONObject, ...]]:
    """The server's keys: known already, unless the token names one that is not among them, as after a rotation."""
    if metadata.jwks_uri is None:
        raise BadAnswer("the server has no jwks_uri")
    known = context.state.server.keys(now)
    if known is not None and (token.keys(known) or not context.state.server.may_ask_for_keys(now)):
        return known
    keys = read_keys((yield from ask(CallXWMS(wire.ask_for_keys(metadata.jwks_uri)))))
    context.state.server.learn_keys(keys, now)
    return keys
