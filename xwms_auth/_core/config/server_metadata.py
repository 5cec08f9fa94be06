"""Where an authorization server's endpoints are: its metadata document (RFC 8414, OpenID Connect Discovery 3).

Knows: the form of the document, where it is kept, and how long what was fetched may be used.
Must not: take an endpoint that is not https (plain http only where the issuer itself is on this machine), or a document
of another issuer: with one that an attacker names, code, verifier and secret would go to the attacker (RFC 9700 4.4).
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from ..base.effects import OAuthCall, UpstreamResponse, json_object
from ..base.errors import BadAnswer, Unreachable
from ..base.strict_json import JSONObject
from ..http.urls import parse_endpoint

MAX_AGE = 3600
"""Seconds that metadata and keys are used without asking again."""

REFETCH_KEYS = 60
"""Seconds between two fetches of the keys because of an unknown key id, which anybody can put into a token."""

MAX_KEYS = 100
"""Keys of a server worth reading."""

_REQUIRED = ("authorization_endpoint", "token_endpoint")
_OPTIONAL = ("userinfo_endpoint", "jwks_uri", "revocation_endpoint", "introspection_endpoint", "end_session_endpoint")
ENDPOINTS = (*_REQUIRED, *_OPTIONAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """An authorization server. Endpoints are whole addresses, each of them checked; None where there is none."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    userinfo_endpoint: str | None = None
    jwks_uri: str | None = None
    revocation_endpoint: str | None = None
    introspection_endpoint: str | None = None
    end_session_endpoint: str | None = None
    names_itself: bool = False
    """Whether every callback carries `iss` (RFC 9207); one without it is then refused."""


def well_known(issuer: str) -> tuple[str, str]:
    """The addresses of the document: OpenID Connect Discovery 4, then RFC 8414 3, which puts it before the path."""
    scheme, _, rest = issuer.partition("://")
    host, slash, path = rest.partition("/")
    before = f"{scheme}://{host}/.well-known/oauth-authorization-server"
    return f"{issuer.removesuffix('/')}/.well-known/openid-configuration", before + (slash + path).removesuffix("/")


def discover(url: str) -> OAuthCall:
    """Ask for the document."""
    return OAuthCall(url=url)


def read_metadata(reply: UpstreamResponse, *, issuer: str, allow_http: bool) -> Metadata | None:
    """Read the document; None where the server has none at this address."""
    # A server that has the document elsewhere may answer here with its 404, its sign-in page, or its start page.
    document = _document(reply, ("application/json",))
    if document is None:
        return None
    # Byte by byte, as RFC 8414 3.3 has it: a document that names somebody else is how endpoints are mixed up.
    if document.get("issuer") != issuer:
        raise BadAnswer("the discovery document is of another issuer")
    names = {name: document[name] for name in ENDPOINTS if document.get(name) is not None}
    for name, value in names.items():
        try:
            parse_endpoint(value, allow_http=allow_http, secure=issuer.startswith("https://"))
        except ValueError as fault:
            cause = f"the discovery document's {name} {fault}"
            raise BadAnswer(cause) from None
    if missing := [name for name in _REQUIRED if name not in names]:
        raise BadAnswer(f"the discovery document has no {missing[0]}")
    named = document.get("authorization_response_iss_parameter_supported") is True
    return metadata_of(issuer, names, names_itself=named)


def metadata_of(issuer: str, endpoints: Mapping[str, str], *, names_itself: bool = False) -> Metadata:
    """An authorization server whose endpoints have been checked."""
    return Metadata(
        issuer=issuer,
        authorization_endpoint=endpoints["authorization_endpoint"],
        token_endpoint=endpoints["token_endpoint"],
        names_itself=names_itself,
        **{name: endpoints.get(name) for name in _OPTIONAL},
    )


def read_keys(reply: UpstreamResponse) -> tuple[JSONObject, ...]:
    """Read a JWK Set (RFC 7517 5). What is not an object in it is left out, as are keys beyond `MAX_KEYS`."""
    document = _document(reply, ("application/json", "application/jwk-set+json"))
    keys: object = None if document is None else document.get("keys")
    if not isinstance(keys, list):
        raise BadAnswer("there are no keys at jwks_uri")
    return tuple(key for key in cast("list[object]", keys[:MAX_KEYS]) if isinstance(key, JSONObject))


def _document(reply: UpstreamResponse, media_types: Sequence[str]) -> JSONObject | None:
    if reply.status in (429, 502, 503, 504):
        raise Unreachable(f"the authorization server answered {reply.status}", upstream_status=reply.status)
    document = json_object(reply, media_types=media_types)
    return None if reply.status != 200 or isinstance(document, BadAnswer) else document


@dataclass(slots=True)
class ServerCache:
    """What this process has learned about its authorization server. Times are seconds since 1970."""

    _metadata: tuple[int, Metadata] | None = field(default=None, init=False)
    _keys: tuple[int, tuple[JSONObject, ...]] | None = field(default=None, init=False)
    _asked_for_keys: int | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def metadata(self, now: int) -> Metadata | None:
        """The metadata, unless they are too old."""
        return self._metadata[1] if self._metadata and 0 <= now - self._metadata[0] < MAX_AGE else None

    def learn_metadata(self, metadata: Metadata, now: int) -> None:
        """Keep metadata that have just been fetched."""
        self._metadata = (now, metadata)

    def keys(self, now: int) -> tuple[JSONObject, ...] | None:
        """The keys, unless they are too old."""
        return self._keys[1] if self._keys and 0 <= now - self._keys[0] < MAX_AGE else None

    def learn_keys(self, keys: tuple[JSONObject, ...], now: int) -> None:
        """Keep keys that have just been fetched."""
        self._keys = (now, keys)

    def may_ask_for_keys(self, now: int) -> bool:
        """Whether the keys may be fetched again because one is missing; True for one caller a minute."""
        with self._lock:
            asked = max((at for at in (self._asked_for_keys, self._keys and self._keys[0]) if at), default=None)
            if asked is not None and 0 <= now - asked < REFETCH_KEYS:
                return False
            self._asked_for_keys = now
            return True
