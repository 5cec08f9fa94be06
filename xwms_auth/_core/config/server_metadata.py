"""Authorization server metadata (RFC 8414, OpenID Connect Discovery 3): parsing and caching of the document.

Mix-up (RFC 9700 4.4): a document of another issuer is refused, because code, verifier and secret would go to the
endpoints that an attacker names. Endpoints must be https; plain http is allowed only if the issuer itself is on this
machine.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import cast

from ..base.dataclass import dataclass
from ..base.effects import OAuthCall, UpstreamResponse, json_object, unavailable
from ..base.errors import BadAnswer
from ..base.strict_json import JSONObject
from ..http.urls import parse_endpoint

METADATA_MAX_AGE = 3600
"""Seconds that metadata and keys are used before they are fetched again."""

REFETCH_KEYS = 60
"""Seconds between two fetches of the keys because of an unknown key id, which anybody can put into a token."""

MAX_KEYS = 100
"""Keys of a server that are read; the rest is ignored."""

_REQUIRED = ("authorization_endpoint", "token_endpoint")
_OPTIONAL = ("userinfo_endpoint", "jwks_uri", "revocation_endpoint", "introspection_endpoint", "end_session_endpoint")
ENDPOINTS = (*_REQUIRED, *_OPTIONAL)


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


def well_known(issuer: str) -> tuple[str, str]:
    """The URLs of the document: OpenID Connect Discovery 4, then RFC 8414 3, which inserts it before the path."""
    scheme, _, rest = issuer.partition("://")
    host, slash, path = rest.partition("/")
    prefix = f"{scheme}://{host}/.well-known/oauth-authorization-server"
    return f"{issuer.removesuffix('/')}/.well-known/openid-configuration", prefix + (slash + path).removesuffix("/")


def discover(url: str) -> OAuthCall:
    """The request for the document."""
    return OAuthCall(url=url)


def read_metadata(response: UpstreamResponse, *, issuer: str, allow_http: bool) -> Metadata | None:
    """Parse the document; None if the server has none at this URL."""
    # A server that has the document elsewhere may respond here with a 404, its sign-in page or its home page.
    document = _document(response, ("application/json",))
    if document is None:
        return None
    # Mix-up: the issuer must be identical (RFC 8414 3.3).
    if document.get("issuer") != issuer:
        raise BadAnswer("the discovery document is of another issuer")
    names = {name: document[name] for name in ENDPOINTS if document.get(name) is not None}
    for name, value in names.items():
        try:
            parse_endpoint(value, allow_http=allow_http, secure=issuer.startswith("https://"))
        except ValueError as error:
            cause = f"the discovery document's {name} {error}"
            raise BadAnswer(cause) from None
    if missing := [name for name in _REQUIRED if name not in names]:
        raise BadAnswer(f"the discovery document has no {missing[0]}")
    names_itself = document.get("authorization_response_iss_parameter_supported") is True
    return metadata_of(issuer, names, names_itself=names_itself)


def metadata_of(issuer: str, endpoints: Mapping[str, str], *, names_itself: bool = False) -> Metadata:
    """The metadata of a server from endpoints that have been checked."""
    return Metadata(
        issuer=issuer,
        authorization_endpoint=endpoints["authorization_endpoint"],
        token_endpoint=endpoints["token_endpoint"],
        names_itself=names_itself,
        **{name: endpoints.get(name) for name in _OPTIONAL},
    )


def read_keys(response: UpstreamResponse) -> tuple[JSONObject, ...]:
    """Parse a JWK Set (RFC 7517 5). Entries that are not objects are ignored, and so are keys beyond `MAX_KEYS`."""
    document = _document(response, ("application/json", "application/jwk-set+json"))
    keys: object = None if document is None else document.get("keys")
    if not isinstance(keys, list):
        raise BadAnswer("the response of jwks_uri has no keys")
    return tuple(key for key in cast("list[object]", keys[:MAX_KEYS]) if isinstance(key, JSONObject))


def _document(response: UpstreamResponse, media_types: Sequence[str]) -> JSONObject | None:
    if response.status in (429, 502, 503, 504):
        raise unavailable(response, "the authorization server")
    document = json_object(response, media_types=media_types)
    return None if response.status != 200 or isinstance(document, BadAnswer) else document


@dataclass(slots=True)
class ServerCache:
    """The metadata and keys of the authorization server that this process has fetched. Times are seconds since 1970."""

    _metadata: tuple[int, Metadata] | None = field(default=None, init=False)
    _keys: tuple[int, tuple[JSONObject, ...]] | None = field(default=None, init=False)
    _keys_requested: int | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def metadata(self, now: int) -> Metadata | None:
        """The metadata, or None if missing or too old."""
        return self._metadata[1] if self._metadata and 0 <= now - self._metadata[0] < METADATA_MAX_AGE else None

    def learn_metadata(self, metadata: Metadata, now: int) -> None:
        """Cache metadata that have just been fetched."""
        self._metadata = (now, metadata)

    def keys(self, now: int) -> tuple[JSONObject, ...] | None:
        """The keys, or None if missing or too old."""
        return self._keys[1] if self._keys and 0 <= now - self._keys[0] < METADATA_MAX_AGE else None

    def learn_keys(self, keys: tuple[JSONObject, ...], now: int) -> None:
        """Cache keys that have just been fetched."""
        self._keys = (now, keys)

    def may_ask_for_keys(self, now: int) -> bool:
        """Rate limit: whether the keys may be fetched again because one is missing; True for one caller a minute."""
        with self._lock:
            requested = max((at for at in (self._keys_requested, self._keys and self._keys[0]) if at), default=None)
            if requested is not None and 0 <= now - requested < REFETCH_KEYS:
                return False
            self._keys_requested = now
            return True
