"""Discovery documents and keys of an authorization server, beside pydantic's JSON parser, ada's URLs and PyJWT."""

import base64
import json
import re
from functools import cache
from itertools import product
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit
from zlib import crc32

import ada_url
import jwt as pyjwt

from tests.fuzz.answers import FAILURES, MARK, body_of, framed, object_of, response_of
from tests.fuzz.house import START, House, doors_for, http_answer
from tests.fuzz.judges import judge, tally, where_a_browser_goes
from tests.fuzz.lines import lines_of
from tests.fuzz.shapes import shaped
from tests.fuzz.targets import Target
from tests.fuzz.targets.bearer import API, AUDIENCE, CLAIMS, bearer_house
from tests.fuzz.targets.tokens import keys
from tests.fuzz.targets.urls import LOOPBACK, is_host
from tests.oauth2.jwts import signed
from tests.tools.fake_xwms import CLIENT_ID
from tests.tools.site import FROM_HERE, HTTPS_URI, LOGIN, PROGRAM
from xwms_auth import APIError
from xwms_auth._core.base.effects import UpstreamResponse
from xwms_auth._core.base.strict_json import parse_json_object
from xwms_auth._core.config.server.metadata import Metadata, read_metadata

SERVER: Final = "http://127.0.0.1:9"
SECURE: Final = "https://as.example"
REQUIRED: Final = ("authorization_endpoint", "token_endpoint")
OPTIONAL: Final = ("userinfo_endpoint", "jwks_uri", "revocation_endpoint", "introspection_endpoint")
ENDPOINTS: Final = (*REQUIRED, *OPTIONAL, "end_session_endpoint")
STATIC: Final = ("application/json", "text/plain", "text/json", "application/octet-stream", "binary/octet-stream", "")
KEY_TYPES: Final = (*STATIC, "application/jwk-set+json")

PIECES: Final = (*lines_of("pieces", "documents"), *lines_of("pieces", "urls"))


def _is_endpoint(value: object, *, secure: bool) -> bool:
    """Whether this is an absolute https URL (http on loopback, beside such an issuer) whose host is in normal form."""
    if not isinstance(value, str) or not re.fullmatch(r"[\x21-\x7e]{1,2048}", value) or re.search(r"[\\#]", value):
        return False
    plain, _, query = value.partition("?")
    if "*" in plain or re.search(r'["<>]', query) or not re.match(r"https?://", plain):
        return False
    authority = plain.split("/")[2]
    try:
        url = ada_url.URL(plain)
    except ValueError:
        return False
    if "@" in authority or url.host != authority or not is_host(url):
        return False
    return url.protocol == "https:" or (not secure and LOOPBACK.fullmatch(url.hostname) is not None)


def _usable(document: dict[str, Any] | None, issuer: str) -> dict[str, str] | None:
    """The endpoints of a document that names this issuer and all that a login needs; None if nobody can log in."""
    if document is None or document.get("issuer") != issuer:
        return None
    secure = issuer.startswith("https:")
    found = {name: document[name] for name in ENDPOINTS if _is_endpoint(document.get(name), secure=secure)}
    needed = (*REQUIRED, "userinfo_endpoint")
    if any(document.get(name) is not None and name not in found for name in needed) or not {*REQUIRED} <= found.keys():
        return None
    return found


def _demands(document: dict[str, Any]) -> bool:
    """The table of docs/oauth2.md: what a server may demand that is not supported."""
    if any(
        document.get(f"require_{name}") is True for name in ("pushed_authorization_requests", "signed_request_object")
    ):
        return True
    wanted = {
        "response_modes_supported": "query",
        "response_types_supported": "code",
        "token_endpoint_auth_methods_supported": "client_secret_basic",
    }
    lists = {name: document.get(name) for name in wanted}
    return any(isinstance(found, list) and found and wanted[name] not in found for name, found in lists.items())


def discovery_document(data: bytes) -> None:
    """A document, without HTTP, is taken exactly if it names the issuer, and endpoints that browsers read so too.

    The first line may be the status and the content type. The issuer is one with https, or one on this machine.
    """
    number, kind, body = response_of(data)
    document = object_of((number, [(b"content-type", kind.encode("latin-1"))], body), types=STATIC)
    for issuer in (SECURE, SERVER):
        expected = _usable(document, issuer)
        outcome = _read(UpstreamResponse(status=number, content_type=kind, body=body), issuer)
        if not isinstance(outcome, Metadata):
            assert MARK not in f"{outcome}{outcome.cause}", outcome
            assert outcome.code in ("xwms_bad_answer", "xwms_unreachable"), outcome
            assert expected is None or parse_json_object(body) is None, (data, issuer, outcome)
            tally[outcome.code] += 1
            continue
        assert expected is not None, (data, issuer, outcome)
        assert document is not None
        assert {name: getattr(outcome, name) for name in ENDPOINTS} == {
            name: expected.get(name) for name in ENDPOINTS
        }, (data, outcome)
        assert outcome.issuer == issuer
        assert (outcome.demand is not None) == _demands(document), (data, outcome.demand)
        assert outcome.names_itself == (document.get("authorization_response_iss_parameter_supported") is True)
        tally["taken"] += 1


def _read(response: UpstreamResponse, issuer: str) -> Metadata | APIError:
    try:
        return read_metadata(response, issuer=issuer, allow_http=False, needed=("userinfo_endpoint",))
    except APIError as error:
        return error


@cache
def _discovering() -> House:
    return House(flow="oauth2", issuer=SERVER, scopes="profile")


def discovery_answer(data: bytes) -> None:
    """A login begins exactly at the authorization endpoint of a usable document, with this client's own parameters."""
    app, data = _discovering(), framed(data)
    found = body_of(data)
    document = object_of(found, types=STATIC)
    usable = _usable(document, SERVER)
    if document is not None and usable is not None and _demands(document):
        usable = None
    endpoint = usable["authorization_endpoint"] if usable else ""
    origin = ada_url.URL(endpoint).origin if endpoint else ""
    with app.wire.answering(lambda sent: data):
        for door in doors_for(data):
            app.clock.now += 8_000  # what was fetched before is too old, even where the server is down
            answer = app.send(door, LOGIN, headers=[*{**FROM_HERE, **PROGRAM}.items()])
            judge(answer, may_fail=FAILURES, elsewhere=(origin,) if origin else ())
            assert MARK not in f"{answer.body!r}{answer.lines}", answer
            if answer.status == 302:
                assert usable, (data, answer)
                (location,) = answer.all("location")
                assert location.startswith(endpoint), (location, endpoint)
                assert where_a_browser_goes(location).origin == origin, (location, endpoint)
                sent = parse_qs(urlsplit(location).query)
                assert CLIENT_ID in sent["client_id"], sent
                assert HTTPS_URI in sent["redirect_uri"], sent
                assert "S256" in sent["code_challenge_method"], sent
                assert len(sent["state"][-1]) == 43, sent
                continue
            if usable and found is not None and len(endpoint) < 1000 and len(found[2]) <= 65_536:
                assert parse_json_object(found[2]) is None, (data, answer)
    tally["led to the server" if answer.status == 302 else f"{answer.code}"] += 1


# --- keys ------------------------------------------------------------------------------------------------------------


@cache
def _keys_house() -> House:
    return bearer_house(token_validation="jwt", audience=AUDIENCE)


@cache
def _token(algorithm: str) -> str:
    return signed(keys()[algorithm], {**CLAIMS, "exp": 250_000_000_000}, typ="at+jwt")


def keys_answer(data: bytes) -> None:
    """A token is good exactly if the answer of `jwks_uri` has a key of its id and kind with which PyJWT verifies it."""
    app, data = _keys_house(), framed(data)
    # The RSA key is another one in each run, which must not change what a seed is asked.
    algorithm = list(keys())[crc32(re.sub(rb'"n": "[^"]*"', b"", data)) % 3]
    token = _token(algorithm)
    found = body_of(data)
    document = object_of(found, types=KEY_TYPES)
    theirs = document.get("keys") if document is not None else None
    suitable = [key for key in theirs[:100] if _suits(key, algorithm)] if isinstance(theirs, list) else []
    verifying = [key for key in suitable if _verifies(key, algorithm, token)]
    with app.wire.answering(lambda sent: data):
        for door in doors_for(data):
            app.clock.now = START + (int(app.clock.now) + 8_000 - START) % 100_000_000_000
            answer = app.send(door, API, headers=[("Authorization", f"Bearer {token}")])
            judge(answer, may_fail=FAILURES)
            assert MARK not in f"{answer.body!r}{answer.lines}", answer
            if answer.status == 200:
                assert verifying, (data, answer)
                continue
            assert answer.code in {*FAILURES, "invalid_token"}, answer
            assert answer.code != "invalid_token" or isinstance(theirs, list), (data, answer)
            if any(map(_is_canonical, verifying)) and found is not None and len(found[2]) <= 65_536:
                assert parse_json_object(found[2]) is None, (data, answer)
    tally["let in" if answer.status == 200 else f"{answer.code}"] += 1


def _suits(key: object, algorithm: str) -> bool:
    ours = keys()[algorithm].jwk
    return (
        isinstance(key, dict)
        and key.get("kty") == ours["kty"]
        and ("crv" not in ours or key.get("crv") == ours["crv"])
        and key.get("use") in (None, "sig")
        and key.get("alg") in (None, algorithm)
        and key.get("kid") == ours["kid"]
    )


def _members(key: dict[str, Any]) -> dict[str, Any]:
    return {name: key[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in key}


def _verifies(key: dict[str, Any], algorithm: str, token: str) -> bool:
    try:
        public = pyjwt.PyJWK({**_members(key), "alg": algorithm}).key
        pyjwt.PyJWS().decode(token, public, algorithms=[algorithm])
    except (pyjwt.PyJWTError, ValueError, TypeError, AttributeError):
        return False
    return True


def _is_canonical(key: dict[str, Any]) -> bool:
    """Whether the numbers of the key are in the one spelling that RFC 7515 2 has."""
    values = [value for name, value in _members(key).items() if name in ("x", "y", "n", "e")]
    return all(
        isinstance(value, str)
        and base64.urlsafe_b64encode(base64.urlsafe_b64decode(value + "==")).rstrip(b"=") == value.encode()
        for value in values
    )


# --- seeds -----------------------------------------------------------------------------------------------------------


def _document(issuer: str, /, **changes: object) -> dict[str, object]:
    endpoints = {name: f"{issuer}/{name}" for name in ENDPOINTS}
    return {"issuer": issuer, **endpoints, "response_types_supported": ["code"], **changes}


_CHANGES: Final[tuple[dict[str, object], ...]] = (
    {},
    *({name: None} for name in ENDPOINTS),
    *({name: value} for name in ("authorization_endpoint", "userinfo_endpoint", "jwks_uri") for value in (
        "",
        1,
        "https://evil.example/a?b=c",
        "https://evil.example/a?b=c#d",
        "https://user@as.example/a",
        "HTTPS://as.example/a",
        "https://AS.example/a",
        "https://as.example:443/a",
        "https://as.example:8443",
        "https://as.example/%2e%2e/a b",
        "https://xn--a/",
        "https://a.0xg/",
        "http://as.example/a",
        "http://localhost/a",
        "http://[::1]:9/a",
        "http://127.1/a",
        "javascript:alert(1)",
        "//as.example/a",
        "https://as.example/\\evil.example",
        "https://as.example/" + "a" * 2040,
        "https://as.example/a?client_id=other&state=mine",
    )),
    {"issuer": SECURE + "/"},
    {"issuer": None},
    {"issuer": [SECURE]},
    {"require_pushed_authorization_requests": True},
    {"require_pushed_authorization_requests": "true"},
    {"require_signed_request_object": True},
    {"response_modes_supported": ["form_post"]},
    {"response_modes_supported": []},
    {"response_types_supported": ["id_token"]},
    {"response_types_supported": "id_token"},
    {"token_endpoint_auth_methods_supported": ["private_key_jwt"]},
    {"token_endpoint_auth_methods_supported": ["client_secret_post", 1]},
    {"authorization_response_iss_parameter_supported": True},
    {"authorization_response_iss_parameter_supported": 1},
    {"more": MARK},
)  # fmt: skip


@cache
def _bodies(issuer: str) -> list[bytes]:
    twice = json.dumps(_document(issuer))[:-1] + ', "issuer": "https://other.example"}'
    return [*(json.dumps(_document(issuer, **change)).encode() for change in _CHANGES), twice.encode()]


@cache
def _document_seeds() -> list[bytes]:
    statuses, kinds = (200, 404, 429, 503, 302), (*KEY_TYPES, "text/html")
    heads = [f"{status} {kind}\n".encode() for status, kind in product(statuses, kinds)]
    return [*_bodies(SECURE), *_bodies(SERVER)[:12], *(head + _bodies(SECURE)[0] for head in heads)]


@cache
def _answer_seeds() -> list[bytes]:
    statuses = (b"404 x", b"429 x", b"503 x", b"302 x", b"500 x")
    good = _bodies(SERVER)[0]
    return [*_bodies(SERVER), *(http_answer(good, status=status) for status in statuses), *lines_of("seeds", "answers")]


@cache
def _key_seeds() -> list[bytes]:
    all_keys = [key.jwk for key in keys().values()]
    changes: tuple[dict[str, object], ...] = (
        {"use": "enc"},
        {"use": None},
        {"alg": "none"},
        {"alg": "EdDSA"},
        {"kid": "other"},
        {"kid": None},
        {"kty": "oct", "k": "AA"},
        {"crv": "P-521"},
        {"x": "AA"},
        {"x": 1},
        {"x": all_keys[0]["x"] + "="},
        {"y": "AA"},
        {"n": "AQAB"},
        {"e": "AQ"},
        {"key_ops": ["encrypt"]},
        {"d": "AA"},
    )
    documents: list[object] = [{"keys": [{**key, **change} for key in all_keys]} for change in changes]
    documents += [{"keys": all_keys}, {"keys": all_keys[:1]}, {"keys": []}, {"keys": {"a": 1}}, {}, [], {"keys": [1]}]
    documents += [{"keys": [{"kid": "x"}] * 99 + all_keys}, {"keys": [{"kid": "x"}] * 97 + all_keys}, all_keys[0]]
    bodies = [json.dumps(document).encode() for document in documents]
    good = json.dumps({"keys": all_keys, "more": MARK}).encode()
    typed = [http_answer(good).replace(b"application/json", kind.encode()) for kind in (*KEY_TYPES, "text/html")]
    statuses = (b"404 x", b"429 x", b"503 x", b"302 x")
    return [*bodies, *typed, *(http_answer(good, status=status) for status in statuses), *lines_of("seeds", "answers")]


TARGETS: Final = (
    Target(
        run=discovery_document,
        seeds=_document_seeds,
        pieces=PIECES,
        variants=shaped(_document_seeds),
        longest=2000,
        figure=200_000,
    ),
    Target(
        run=discovery_answer,
        seeds=_answer_seeds,
        pieces=PIECES,
        variants=shaped(_answer_seeds),
        longest=5000,
        figure=50_000,
    ),
    Target(
        run=keys_answer,
        seeds=_key_seeds,
        pieces=PIECES,
        variants=shaped(_key_seeds),
        longest=5000,
        figure=50_000,
    ),
)
