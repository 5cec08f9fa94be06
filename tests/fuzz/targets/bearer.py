"""Access tokens at an API: the header, the JWT in it beside PyJWT, and what introspection answers, at both doors.

The first line of a value is the Authorization header, in which `{token}` stands for a good token and `{again}` divides
it into several headers. What follows is, for JWTs, a line with a JSON header and one with the claims, which the target
signs; for introspection, the answer of the server.
"""

import base64
import json
import re
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qsl

from tests.fuzz.answers import FAILURES, MARK, body_of, framed, id_of, object_of
from tests.fuzz.house import SUB, Answer, House, doors_for, http_answer
from tests.fuzz.judges import judge, tally
from tests.fuzz.lines import lines_of
from tests.fuzz.shapes import shaped
from tests.fuzz.targets import Target
from tests.fuzz.targets.tokens import ISSUER, NOW, by_pyjwt, is_canonical, is_time, keys, token_of
from tests.oauth2.apis import flask_api, starlette_api
from tests.oauth2.jwts import signed
from tests.tools.fake_xwms import CLIENT_ID
from xwms_auth._core.base.strict_json import parse_json_object

AUDIENCE: Final = "https://api.example"
OPAQUE: Final = "an-opaque-token-of-the-server/1+2~3=="
API: Final = "/api/token"
FIELD: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_BEARER: Final = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)
_LONGEST: Final = 16_384
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")

PIECES: Final = lines_of("pieces", "bearer")


def bearer_house(**options: Any) -> House:
    """An API over an authorization server whose endpoints are in the settings."""
    names = ("authorization", "token", "userinfo", "introspection")
    endpoints: dict[str, Any] = {f"{name}_endpoint": f"http://127.0.0.1:9/{name}" for name in names}
    endpoints |= {"jwks_uri": "http://127.0.0.1:9/jwks", "scopes": "profile", "issuer": ISSUER, "flow": "oauth2"}
    return House(makers=(flask_api, starlette_api), **{**endpoints, **options})


@cache
def _jwt_house() -> House:
    app = bearer_house(token_validation="jwt", audience=AUDIENCE)
    document = json.dumps({"keys": [key.jwk for key in keys().values()]}).encode()
    app.wire.answer = lambda sent: http_answer(document)
    return app


@cache
def _opaque_house() -> House:
    return bearer_house()


def _header_of(data: bytes, token: str) -> tuple[list[tuple[str, str]], str] | None:
    """The headers of the first line, and what a server makes of them; None for what no server hands on."""
    line = data.partition(b"\n")[0].decode("latin-1").replace("{token}", token)
    values = [value.strip(" \t") for value in line.split("{again}")]
    if not all(map(FIELD.fullmatch, values)):
        return None
    joined = ", ".join(values)
    return [("Authorization", value) for value in values], joined


def _token_in(header: str) -> str | None:
    """The token in a header by RFC 6750 2.1; None if there is no such header."""
    found = _BEARER.fullmatch(header.strip(" \t")) if len(header) <= _LONGEST else None
    return found[1] if found else None


def _names_bearer(header: str) -> bool:
    """Whether any of the credentials, or what stands in their place, is of the scheme Bearer."""
    return any(re.match(r"bearer( |$)", part.strip(" \t"), re.IGNORECASE) for part in header[:_LONGEST].split(","))


def _ask(app: House, data: bytes, headers: list[tuple[str, str]], token: str | None) -> Answer:
    """The answer of a door, or of both, which agree; the token is nowhere in it."""
    answers = [app.send(door, API, headers=headers) for door in doors_for(data)]
    answer = answers[0]
    for other in answers[1:]:
        assert (answer.status, answer.code) == (other.status, other.code), answers
        assert answer.all("www-authenticate") == other.all("www-authenticate"), answers
        assert answer.status != 200 or json.loads(answer.body) == json.loads(other.body), answers
    for each in answers:
        judge(each, may_fail=FAILURES)
        shown = f"{each.body!r}{each.headers}{each.lines}"
        assert MARK not in shown, each
        assert token is None or len(token) < 24 or token not in shown, each
        assert each.status == 200 or "set-cookie" not in dict(each.headers), each
    return answer


def _check_refusal(answer: Answer, header: str) -> None:
    """What a header without a token is answered with, by RFC 6750 3.1."""
    (challenge,) = answer.all("www-authenticate")
    if _names_bearer(header):
        assert (answer.status, answer.code) == (400, "invalid_bearer_request"), (header, answer)
        assert 'error="invalid_request"' in challenge, challenge
    else:
        assert (answer.status, answer.code) == (401, "token_required"), (header, answer)
        assert "error=" not in challenge, challenge


def access_token(data: bytes) -> None:
    """An API lets in exactly who brings one JWT in one header, which PyJWT verifies and RFC 9068 4 accepts."""
    app = _jwt_house()
    app.clock.now = NOW
    claims = data.partition(b"\n")[2]
    found = _header_of(data, token_of(claims) if claims.startswith(b"{") else _good_token())
    if found is None:
        tally["no header"] += 1
        return
    headers, header = found
    token = _token_in(header)
    answer = _ask(app, data, headers, token)
    if token is None:
        _check_refusal(answer, header)
        tally[f"{answer.code}"] += 1
        return
    theirs = by_pyjwt(token)
    good = theirs is not None and _is_access_token(token, theirs)
    if answer.status == 200:
        assert good, (token, theirs, answer)
        assert theirs is not None
        told = json.loads(answer.body)
        assert told["client_id"] == id_of(theirs["client_id"]), (theirs, told)
        assert told["sub"] == (id_of(theirs["sub"]) if id_of(theirs["sub"]) != told["client_id"] else None), (
            theirs,
            told,
        )
        assert told["scopes"] == _scopes(theirs.get("scope", "")), (theirs, told)
        assert told["expires_at"] == int(theirs["exp"]), (theirs, told)
        assert told["user"] is None, told
        tally["let in"] += 1
        return
    assert not (good and is_canonical(token, may_have="typ")), (token, theirs, answer)
    assert (answer.status, answer.code) == (401, "invalid_token"), (token, answer)
    assert 'error="invalid_token"' in answer.all("www-authenticate")[0], answer
    tally["invalid_token"] += 1


def _is_access_token(token: str, claims: dict[str, Any]) -> bool:
    """The table of docs/api-protection.md for JWTs, without the signature."""
    kind = json.loads(_decoded(token.partition(".")[0])).get("typ")
    audience = claims.get("aud")
    return (
        isinstance(kind, str)
        and kind.lower() in ("at+jwt", "application/at+jwt")
        and claims.get("iss") == ISSUER
        and AUDIENCE in (audience if isinstance(audience, list) else [audience])
        and is_time(claims.get("exp"))
        and claims["exp"] > NOW
        and is_time(claims.get("iat"))
        and claims["iat"] <= NOW + 60
        and _lets_in(claims, NOW)
        and claims.get("sub") is not None
    )


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _lets_in(claims: dict[str, Any], now: int) -> bool:
    """What both ways of checking a token demand."""
    username = claims.get("username")
    return (
        (claims.get("nbf") is None or (is_time(claims["nbf"]) and claims["nbf"] <= now + 60))
        and "cnf" not in claims
        and isinstance(claims.get("client_id"), str)
        and id_of(claims["client_id"]) is not None
        and (claims.get("sub") is None or id_of(claims["sub"]) is not None)
        and _scopes(claims.get("scope", "")) is not None
        and (claims.get("sub") is not None or username is None or (isinstance(username, str) and id_of(username)))
    )


def _scopes(value: object) -> list[str] | None:
    """The scopes of RFC 6749 3.3 in text or a list; None if anything else is there."""
    entries = [one for one in value.split(" ") if one] if isinstance(value, str) else value
    if not isinstance(entries, list) or not all(isinstance(one, str) and _SCOPE.fullmatch(one) for one in entries):
        return None
    return entries if len(value if isinstance(value, str) else " ".join(entries)) <= 8192 else None


def introspected_token(data: bytes) -> None:
    """An API lets in exactly who brings one token in one header, of which RFC 7662's answer says what it must.

    The server is asked once, about this token, and never without one; two doors ask twice.
    """
    app = _opaque_house()
    app.clock.now += 100  # what was remembered of a token is forgotten
    now = int(app.clock.now)
    rest = data.partition(b"\n")[2]
    for name, seconds in ((b"{now}", 0), (b"{soon}", 300), (b"{past}", -300)):
        rest = rest.replace(name, b"%d" % (now + seconds))
    sent = framed(rest)
    found = _header_of(data, OPAQUE)
    if found is None:
        tally["no header"] += 1
        return
    headers, header = found
    token = _token_in(header)
    asked: list[bytes] = []

    def answering(request: bytes) -> bytes:
        asked.append(request)
        return sent

    with app.wire.answering(answering):
        answer = _ask(app, data, headers, token)
    if token is None:
        assert asked == [], asked
        _check_refusal(answer, header)
        tally[f"{answer.code}"] += 1
        return
    assert len(asked) == len(doors_for(data)), asked
    for request in asked:
        head, _, form = request.partition(b"\r\n\r\n")
        assert head.startswith(b"POST /introspection "), head
        assert ("token", token) in parse_qsl(form.decode(), keep_blank_values=True), form
    response = body_of(sent)
    claims = object_of(response)
    good = claims is not None and _is_active(claims, now)
    if answer.status == 200:
        assert good, (sent, answer)
        assert claims is not None
        told = json.loads(answer.body)
        assert told["client_id"] == claims["client_id"], (claims, told)
        assert told["sub"] in (None, id_of(claims.get("sub"))), (claims, told)
        assert (told["sub"] is None) == (id_of(claims.get("sub")) in (None, claims["client_id"])), (claims, told)
        assert told["scopes"] == _scopes(claims.get("scope", "")), (claims, told)
        tally["let in"] += 1
        return
    if good:
        assert response is not None
        assert parse_json_object(response[2]) is None or len(response[2]) > 65_536, (sent, answer)
    assert answer.code in {*FAILURES, "invalid_token"}, answer
    assert answer.code != "invalid_token" or answer.status == 401, answer
    tally[f"{answer.code}"] += 1


def _is_active(claims: dict[str, Any], now: int) -> bool:
    """The table of docs/api-protection.md for introspection, without `audience`."""
    audience, client, kind = claims.get("aud"), claims.get("client_id"), claims.get("token_type")
    expires = claims.get("exp")
    return (
        claims.get("active") is True
        and claims.get("error") in (None, "")
        and isinstance(kind, str)
        and kind.lower() == "bearer"
        and not claims.keys() & {"at_hash", "c_hash"}
        and claims.get("iss") in (None, ISSUER)
        and (expires is None or (is_time(expires) and expires > now))
        and _lets_in(claims, now)
        and (
            (audience is None and client == CLIENT_ID)
            or CLIENT_ID in (audience if isinstance(audience, list) else [audience])
        )
    )


# --- seeds -----------------------------------------------------------------------------------------------------------

CLAIMS: Final[dict[str, object]] = {
    "iss": ISSUER,
    "sub": SUB,
    "aud": AUDIENCE,
    "client_id": "another-client",
    "iat": NOW,
    "exp": NOW + 300,
    "scope": "read write",
}
_CHANGES: Final[tuple[dict[str, object], ...]] = (
    {},
    *({"aud": value} for value in ([AUDIENCE, "other"], "other", None)),
    {"iss": ISSUER + "/"},
    *({"sub": value} for value in ("another-client", None, 17, "\u0000")),
    *({"client_id": value} for value in (None, 17, "")),
    *({"exp": value} for value in (NOW, NOW + 0.5, None, "1900000300", 1e300)),
    *({"iat": value} for value in (NOW + 60, NOW + 61, None)),
    *({"nbf": value} for value in (NOW + 61, None)),
    *({"scope": value} for value in (["read", "write"], 'a"b', "a\tb", None, "  read  ")),
    *({"cnf": value} for value in ({"jkt": "a"}, None)),
    *({"username": value} for value in ("ada", 1)),
    {"nonce": "n"},
)
_HEADERS: Final = (
    '{"alg": "EdDSA", "typ": "at+jwt", "kid": "fixed-ed"}',
    '{"alg": "ES256", "typ": "application/at+jwt", "kid": "fixed-es"}',
    '{"alg": "EdDSA", "typ": "AT+JWT"}',
    '{"alg": "EdDSA", "typ": "JWT"}',
    '{"alg": "EdDSA"}',
    '{"alg": "EdDSA", "typ": null}',
    '{"alg": "EdDSA", "typ": "at+jwt", "kid": "another"}',
    '{"alg": "none", "typ": "at+jwt"}',
    '{"alg": "EdDSA", "typ": "at+jwt", "crit": ["exp"]}',
    '{"alg": "EdDSA", "typ": "at+jwt", "jwk": {"kty": "oct", "k": "AA"}}',
)
_FORMS: Final = lines_of("seeds", "bearer")
"""Authorization headers."""


@cache
def _good_token() -> str:
    return signed(keys()["EdDSA"], CLAIMS, typ="at+jwt")


@cache
def _jwt_seeds() -> list[bytes]:
    bodies = [f"{_HEADERS[0]}\n{json.dumps({**CLAIMS, **change})}" for change in _CHANGES]
    bodies += [f"{header}\n{json.dumps(CLAIMS)}" for header in _HEADERS]
    return [*_FORMS, *(b"Bearer {token}\n" + body.encode() for body in bodies)]


_ANSWER: Final[dict[str, object]] = {
    "active": True,
    "token_type": "Bearer",
    "client_id": CLIENT_ID,
    "sub": SUB,
    "scope": "read write",
}
_ANSWERS: Final[tuple[dict[str, object], ...]] = (
    {},
    *({"active": value} for value in (False, "true", 1, None)),
    *({"token_type": value} for value in ("bearer", "refresh_token", None, ["Bearer"])),
    {"at_hash": "a"},
    {"c_hash": None},
    *({"iss": value} for value in (ISSUER, "https://other.example")),
    *({"aud": value} for value in (CLIENT_ID, ["other", CLIENT_ID], "other", [])),
    {"client_id": "other"},
    {"client_id": "other", "aud": CLIENT_ID},
    {"client_id": None},
    *({"sub": value} for value in (None, CLIENT_ID, 17, True)),
    {"sub": None, "username": "ada"},
    {"sub": None, "username": 1},
    {"cnf": {}},
    *({"scope": value} for value in (["read"], 1)),
    *({"error": value} for value in ("invalid_request", "")),
    *({"exp": value} for value in ("{soon}", "{past}", "{now}")),
    {"nbf": "{soon}"},
    {"iat": "{now}", "exp": "{soon}", "nbf": "{past}", "username": "ada", "more": MARK},
)


@cache
def _opaque_seeds() -> list[bytes]:
    bodies = [re.sub(r'"(\{[a-z]+\})"', r"\1", json.dumps({**_ANSWER, **change})).encode() for change in _ANSWERS]
    good, refused = bodies[0], json.dumps({"error": "invalid_client", "error_description": MARK}).encode()
    odd = [http_answer(good, status=status) for status in (b"201 x", b"302 x", b"400 x", b"401 x", b"503 x", b"429 x")]
    odd += [http_answer(refused, status=status) for status in (b"400 x", b"401 x", b"200 OK")]
    odd += [http_answer(b'{"error": "unsupported_token_type"}', status=b"400 x"), *lines_of("seeds", "answers")[:6]]
    return [*(form + b"\n" + good for form in _FORMS), *(b"Bearer {token}\n" + body for body in (*bodies, *odd))]


TARGETS: Final = (
    Target(
        run=access_token, seeds=_jwt_seeds, pieces=PIECES, variants=shaped(_jwt_seeds), longest=3000, figure=100_000
    ),
    Target(
        run=introspected_token,
        seeds=_opaque_seeds,
        pieces=PIECES,
        variants=shaped(_opaque_seeds),
        longest=3000,
        figure=100_000,
    ),
)
