"""The userinfo endpoint: the claims of an access token's user, as JSON or a signed JWT (OpenID Connect Core 5.3.2)."""

from ..base.effects import CallXWMS, Steps, UpstreamResponse, ask
from ..base.errors import BadAnswer, TokenRejected
from ..base.models import Secret
from ..base.strict_json import JSONObject, is_moment
from ..config.context import Context
from ..config.server.metadata import Metadata
from . import endpoints
from .discovery import keys_for
from .id_token import SKEW, check_audience
from .jwt import parse_signed_jwt, verified_claims

_SETTING = (
    "for plain JSON unset userinfo_signed_response_alg of the client at the server; with a signature it must be RS256 "
    "or another asymmetric one"
)


def request_userinfo(
    context: Context, metadata: Metadata, endpoint: str, access_token: Secret, *, now: int
) -> Steps[JSONObject]:
    """Return the claims. Raises an `APIError` with a cause that names the endpoint."""
    response = yield from ask(CallXWMS(endpoints.ask_for_person(endpoint, access_token)))
    if response.status != 200 or not _is_jwt(response):
        return endpoints.read_person(response)
    text = response.body.decode("latin-1").strip()
    if text.count(".") == 4:
        raise BadAnswer(
            "userinfo: the response is encrypted, which is not supported: unset userinfo_encrypted_response_alg of the "
            "client at the server"
        )
    try:
        token = parse_signed_jwt(text)
        keys = yield from keys_for(context, metadata, token, is_direct=True, now=now)
        claims = verified_claims(token, keys)
        claims.require_type("jwt", what="the token")
        _check(claims, issuer=metadata.issuer, client_id=context.config.client_id, now=now)
    except TokenRejected as error:
        cause = f"userinfo: {error.cause}; {_SETTING}"
    else:
        return claims
    # The fault is the server's, and says nothing about the user.
    raise BadAnswer(cause, upstream_status=200)


def _is_jwt(response: UpstreamResponse) -> bool:
    return response.content_type.partition(";")[0].strip().lower() == "application/jwt"


def _check(claims: JSONObject, *, issuer: str, client_id: str, now: int) -> None:
    """Check what says for whom and from whom the claims are. None of it is required of a server."""
    if claims.get("iss") not in (None, issuer):
        raise TokenRejected("the token: its iss is not the configured issuer")
    if claims.get("aud") is not None:
        check_audience(claims, client_id, what="the token")
    expires: object = claims.get("exp")
    if expires is not None and (not is_moment(expires) or expires <= now - SKEW):
        raise TokenRejected("the token: it has expired")
