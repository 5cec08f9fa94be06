"""Queries of a callback, in both flows: exactly one plausible credential with a login of this browser signs in."""

import json
from functools import cache, partial
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import parse_qs, unquote_to_bytes

from tests.attacks import forge
from tests.corpus.tokens import ABSURD, GOOD
from tests.fuzz.house import SUB, TOKEN, House, doors_for, house, http_answer
from tests.fuzz.judges import judge, signs_in, tally
from tests.fuzz.lines import lines_of
from tests.fuzz.targets import Target
from tests.tools.fake_xwms import CLIENT_ID
from tests.tools.site import CALLBACK, HTTPS_URI, PROGRAM
from xwms_auth._core.oauth2.endpoints import state_of

_TOKEN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/=|:")
ISSUER: Final = "https://as.example"
CODE: Final = "a-code-of-the-server"

PIECES: Final = lines_of("pieces", "query")
OAUTH_PIECES: Final = lines_of("pieces", "oauth_query")


def fields_of(query: str) -> list[tuple[str, str]]:
    """The pairs of a urlencoded query (URL standard 5.1), none of more than 64; bytes that are not UTF-8 are none's."""
    pairs = [pair for pair in query.split("&") if pair]
    if query.count("&") >= 64:
        return []
    decoded = []
    for pair in pairs:
        name, _, value = pair.partition("=")
        decoded.append((_decoded(name), _decoded(value)))
    return decoded


def _decoded(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "surrogateescape")


def callback_query(data: bytes) -> None:
    """One `token` of 8 to 4096 plausible characters is redeemed, once, as it came; anything else asks nobody."""
    app, query = house("callbacks"), data.decode("latin-1")
    found = [value for name, value in fields_of(query) if name == "token"]
    good = len(found) == 1 and 8 <= len(found[0]) <= 4096 and _TOKEN.issuperset(found[0])
    token = found[0] if good else TOKEN
    for door in doors_for(data):
        app.clock.now += 4_000  # what was claimed has expired
        answer = app.send(door, CALLBACK, query=query, headers=[*PROGRAM.items(), ("Cookie", app.pending(token))])
        judge(answer)
        asked = [json.loads(request.partition(b"\r\n\r\n")[2]) for request in app.wire.requests]
        if good:
            assert answer.status == 303, (query, answer)
            assert asked == [{"token": token, "redirect_url": HTTPS_URI}], asked
            assert signs_in(answer), answer
        else:
            assert (answer.status, answer.code) == (400, "token_malformed" if found else "token_missing"), (
                query,
                answer,
            )
            assert asked == [], asked
        shown = f"{answer.body!r}{answer.headers}{answer.lines}"
        assert len(token) < 12 or token not in shown.replace(app.pending(token), ""), answer
    tally["redeemed" if good else "refused"] += 1


# --- OAuth 2.0 -------------------------------------------------------------------------------------------------------


@cache
def oauth_house(*, openid: bool = False) -> House:
    """The application over an authorization server that is as it should be."""
    more = {"scopes": "openid profile", "jwks_uri": f"{ISSUER}/jwks"} if openid else {"scopes": "profile"}
    endpoints = {f"{name}_endpoint": f"http://127.0.0.1:9/{name}" for name in ("authorization", "token", "userinfo")}
    if openid:
        endpoints["jwks_uri"] = "http://127.0.0.1:9/jwks"
    app = House(flow="oauth2", issuer=ISSUER, **{**more, **endpoints})
    app.wire.answer = _server
    return app


def _server(sent: bytes) -> bytes:
    if sent.startswith(b"POST /token "):
        body: object = {"access_token": "an-access-token-of-the-server", "token_type": "Bearer", "expires_in": 3600}
    else:
        body = {"sub": SUB, "name": "Ada Lovelace"}
    return http_answer(json.dumps(body).encode())


def oauth_callback_query(data: bytes) -> None:
    """A code is exchanged exactly where it came once, with the state of this browser's login and no other issuer."""
    app = oauth_house()
    app.clock.now += 4_000
    seed = f"{int(app.clock.now):043}"
    state = state_of(seed)
    query = data.decode("latin-1").replace("{state}", state).replace("{iss}", "https%3A%2F%2Fas.example")
    values: dict[str, list[str]] = {"code": [], "state": [], "iss": [], "error": []}
    for name, value in fields_of(query):
        values.get(name, []).append(value)
    code, got, issuer, error = values.values()
    once = all(len(each) <= 1 for each in values.values())
    plausible = len(code) == 1 and 1 <= len(code[0]) <= 4096 and all(" " <= char <= "~" for char in code[0])
    good = once and plausible and not error and got == [state] and issuer in ([], [ISSUER])
    for door in doors_for(data):
        cookie = pending_of_oauth(app, seed, door)
        answer = app.send(door, CALLBACK, query=query, headers=[*PROGRAM.items(), ("Cookie", cookie)])
        judge(answer)
        assert signs_in(answer) == good, (query, answer)
        exchanges = [request for request in app.wire.requests if request.startswith(b"POST /token ")]
        assert len(exchanges) == good, (query, exchanges)
        if good:
            form = parse_qs(exchanges[0].partition(b"\r\n\r\n")[2].decode(), keep_blank_values=True)
            assert form["code"] == code, (query, form)
            assert form["redirect_uri"] == [HTTPS_URI]
        else:
            assert 400 <= answer.status < 500, (query, answer)
        assert state not in answer.lines + answer.body.decode(), answer
    tally["exchanged" if good else "refused"] += 1


def pending_of_oauth(app: House, seed: str, door: str) -> str:
    """The cookie of a pending login with this seed."""
    name = f"{door:0<8}"
    login = forge.pending(app, "", id=f"{name}{int(app.clock.now) % 10**8:08}", hash=seed)  # type: ignore[arg-type]
    audience: Any = SimpleNamespace(config=SimpleNamespace(client_id=f"oauth2:{CLIENT_ID}", api_url=ISSUER))
    return f"{app.login_prefix}{name}={forge.sealed(audience, json.dumps(login).encode(), 'login/oauth2', place=name)}"


@cache
def _seeds() -> list[bytes]:
    good = [f"token={token}" for token in GOOD]
    more = ["xwmsmessage_status=error&xwmsmessage_message=<b>no</b>", f"next=//evil.example&token={TOKEN}"]
    return [query.encode("latin-1") for query in (*good, *more, *ABSURD) if len(query) < 6_000]


TARGETS: Final = (
    Target(run=callback_query, seeds=_seeds, pieces=PIECES, longest=6000, figure=100_000),
    Target(
        run=oauth_callback_query,
        seeds=partial(lines_of, "seeds", "oauth_callback_query"),
        pieces=OAUTH_PIECES,
        longest=6000,
        figure=100_000,
    ),
)
