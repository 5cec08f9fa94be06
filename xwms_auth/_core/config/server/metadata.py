"""Authorization server metadata (RFC 8414, OpenID Connect Discovery 3): parsing and caching of the document.

Mix-up (RFC 9700 4.4): a document of another issuer is refused, because code, verifier and secret would go to the
endpoints that an attacker names. Endpoints must be https; plain http is allowed only if the issuer itself is on this
machine.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import cast

from ...base.dataclass import dataclass
from ...base.effects import OAuthCall, UpstreamResponse, json_object, unavailable
from ...base.errors import BadAnswer
from ...base.strict_json import JSONObject
from ...http.urls import parse_endpoint
from .demands import demand_of

MAX_KEYS = 100
"""Keys of a server that are read; the rest is ignored."""

_REQUIRED = ("authorization_endpoint", "token_endpoint")
_OPTIONAL = ("userinfo_endpoint", "jwks_uri", "revocation_endpoint", "introspection_endpoint", "end_session_endpoint")
ENDPOINTS = (*_REQUIRED, *_OPTIONAL)

# What web servers send for a file that they do not know. The document says itself what it is: a JSON object with the
# issuer, or with keys.
_STATIC_FILES = ("text/plain", "text/json", "application/octet-stream", "binary/octet-stream", "")
_DISCOVERY_TYPES = ("application/json", *_STATIC_FILES)
_KEYS_TYPES = ("application/json", "application/jwk-set+json", *_STATIC_FILES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """The metadata of an authorization server. Endpoints are absolute URLs that have been checked, or None."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    userinfo_endpoint: str | None = None
    jwks_uri: str | None = None
    revocation_endpoint: str | None = None
    introspection_endpoint: str | None = None
    end_session_endpoint: str | None = None
    names_itself: bool = False
    """Whether every authorization response has `iss` (RFC 9207); a callback without it is then refused."""
    demand: str | None = None
    """Why nobody can log in there, and which setting at the server helps: it demands what is not supported."""
    unusable: tuple[str, ...] = ()
    """A sentence for each endpoint in the document that is left out, because no login needs it and it is no URL."""


def well_known(issuer: str) -> tuple[str, str]:
    """The URLs of the document: OpenID Connect Discovery 4, then RFC 8414 3, which inserts it before the path."""
    scheme, _, rest = issuer.partition("://")
    host, slash, path = rest.partition("/")
    prefix = f"{scheme}://{host}/.well-known/oauth-authorization-server"
    return f"{issuer.removesuffix('/')}/.well-known/openid-configuration", prefix + (slash + path).removesuffix("/")


def discover(url: str) -> OAuthCall:
    """The request for the document."""
    return OAuthCall(url=url)


def read_metadata(
    response: UpstreamResponse,
    *,
    issuer: str,
    allow_http: bool,
    named: Mapping[str, str] = MappingProxyType({}),
    needed: Collection[str] = (),
    client_auth: str = "client_secret_basic",
) -> Metadata | BadAnswer:
    """Parse the document. A `BadAnswer` is returned, not raised, if the server has none at this URL.

    `named` endpoints take the place of those in the document. `needed` are those without which nobody can log in,
    beside the two that always are. `client_auth` is how this client authenticates.
    """
    # A server that has the document elsewhere may respond here with a 404, its sign-in page or its home page.
    document = _document(response, _DISCOVERY_TYPES)
    if isinstance(document, BadAnswer):
        return document
    # Mix-up: the issuer must be identical (RFC 8414 3.3).
    if document.get("issuer") != issuer:
        raise BadAnswer("the discovery document is of another issuer")
    endpoints, unusable = _endpoints(document, {*_REQUIRED, *needed}.difference(named), issuer, allow_http=allow_http)
    endpoints |= named
    if missing := [name for name in _REQUIRED if name not in endpoints]:
        raise BadAnswer(f"the discovery document has no {missing[0]}")
    return replace(
        metadata_of(issuer, endpoints),
        names_itself=document.get("authorization_response_iss_parameter_supported") is True,
        demand=demand_of(document, client_auth=client_auth),
        unusable=tuple(unusable),
    )


def _endpoints(
    document: JSONObject, needed: Collection[str], issuer: str, *, allow_http: bool
) -> tuple[dict[str, str], list[str]]:
    """Return the endpoints of a document, and a sentence for each that no login needs and that is not a URL."""
    endpoints: dict[str, str] = {}
    unusable: list[str] = []
    for name in ENDPOINTS:
        value: object = document.get(name)
        if value is None:
            continue
        try:
            parse_endpoint(value, allow_http=allow_http, secure=issuer.startswith("https://"))
        except ValueError as error:
            cause = f"the discovery document's {name} {error}"
            if name in needed:
                raise BadAnswer(cause) from None
            unusable.append(cause)
        else:
            endpoints[name] = str(value)
    return endpoints, unusable


def metadata_of(issuer: str, endpoints: Mapping[str, str]) -> Metadata:
    """The metadata of a server from endpoints that have been checked."""
    return Metadata(
        issuer=issuer,
        authorization_endpoint=endpoints["authorization_endpoint"],
        token_endpoint=endpoints["token_endpoint"],
        userinfo_endpoint=endpoints.get("userinfo_endpoint"),
        jwks_uri=endpoints.get("jwks_uri"),
        revocation_endpoint=endpoints.get("revocation_endpoint"),
        introspection_endpoint=endpoints.get("introspection_endpoint"),
        end_session_endpoint=endpoints.get("end_session_endpoint"),
    )


def read_keys(response: UpstreamResponse) -> tuple[JSONObject, ...]:
    """Parse a JWK Set (RFC 7517 5). Entries that are not objects are ignored, and so are keys beyond `MAX_KEYS`."""
    document = _document(response, _KEYS_TYPES)
    if isinstance(document, BadAnswer):
        raise BadAnswer(f"jwks_uri: {document.cause}", upstream_status=response.status)
    keys: object = document.get("keys")
    if not isinstance(keys, list):
        raise BadAnswer("jwks_uri: the response has no keys")
    return tuple(key for key in cast("list[object]", keys[:MAX_KEYS]) if isinstance(key, JSONObject))


def _document(response: UpstreamResponse, media_types: Collection[str]) -> JSONObject | BadAnswer:
    if response.status in (429, 502, 503, 504):
        raise unavailable(response, "the authorization server")
    if response.status != 200:
        return BadAnswer(f"the server answered {response.status}", upstream_status=response.status)
    return json_object(response, media_types=media_types)
