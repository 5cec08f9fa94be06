"""Whole requests as text, and the forms of the logout and the back-channel logout, at both doors.

A request is written as `METHOD path?query`, a line for each header, an empty line, and the body.
"""

import json
import re
from functools import cache
from itertools import product
from typing import Final
from urllib.parse import unquote

from tests.attacks import forge
from tests.corpus.callback_paths import NEAR_MISSES
from tests.corpus.hosts import FORWARDED, HOSTS
from tests.fuzz.house import ORIGIN, START, SUB, TOKEN, House, doors_for, house, http_answer
from tests.fuzz.judges import judge, signs_in, tally
from tests.fuzz.lines import lines_of
from tests.fuzz.targets import Target
from tests.fuzz.targets.callbacks import ISSUER, fields_of
from tests.fuzz.targets.tokens import LOGOUT_CLAIMS, keys
from tests.oauth2.jwts import signed
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, FROM_HERE, LOGIN, LOGOUT, ME
from xwms_auth import Secret
from xwms_auth._core.base.crypto.signing import Signed

BACKCHANNEL: Final = "/xwms/backchannel-logout"
FORM: Final = ("Content-Type", "application/x-www-form-urlencoded")
_HEADER: Final = re.compile(r"([!#$%&'*+.^`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
_FRAMING: Final = ("host", "content-length", "transfer-encoding", "expect", "upgrade")
"""What the server reads, or refuses, before an application is asked."""

PIECES: Final = lines_of("pieces", "requests")


@cache
def _session() -> str:
    return house("requests").session()


@cache
def _csrf() -> str:
    """The token of a logout form of that session."""
    config = house("requests").config
    signer = Signed([Secret(forge.KEY)], purpose="logout-form", audience=f"{config.client_id}@{config.issuer}")
    return signer.dumps(house("requests").person()[0])


def _parsed(data: bytes) -> tuple[str, str, str, list[tuple[str, str]], bytes] | None:
    """Method, path, query, headers and body; None for what no server hands on."""
    text = (
        data.decode("latin-1")
        .replace("{session}", f"{house('requests').session_cookie}={_session()}")
        .replace("{csrf}", _csrf())
    )
    head, _, body = text.partition("\n\n")
    line, *fields = head.split("\n")
    method, space, target = line.partition(" ")
    if not space or not re.fullmatch(r"[A-Z]{1,20}", method) or not re.fullmatch(r"/[\x21-\x7e\x80-\xff]*", target):
        return None
    headers = []
    for field in fields:
        found = _HEADER.fullmatch(field)
        if found is None:
            return None
        if found[1].lower() not in _FRAMING:
            headers.append((found[1], found[2]))
    path, _, query = target.partition("#")[0].partition("?")
    decoded = unquote(path, errors="surrogateescape", encoding="utf-8")
    if any("\ud800" <= char <= "\udfff" for char in decoded):
        return None  # uvicorn and others answer 400
    return method, decoded, query, headers, body.encode("latin-1")


def request(data: bytes) -> None:
    """No request breaks anything, tells a secret or sends anybody off; only a cookie that was issued is a person."""
    app = house("requests")
    parsed = _parsed(data)
    if parsed is None:
        tally["no request"] += 1
        return
    method, path, query, headers, body = parsed
    answers = []
    for door in ("flask", "asgi"):
        app.clock.now = START + (int(app.clock.now) + 10 - START) % 80_000  # within the life of the session
        answer = app.send(door, path, method=method, query=query, headers=headers, body=body)
        judge(answer, elsewhere=("http://127.0.0.1:9",))  # XWMS
        cookies = "; ".join(value for name, value in headers if name.lower() == "cookie")
        known = _session() in cookies
        assert not signs_in(answer) or (known or path == CALLBACK), answer
        assert known or SUB.encode() not in answer.body, answer
        if path in ("/who", "/private") and not known:
            assert answer.status in (302, 303, 307, 308, 401, 405, 200 if method == "OPTIONS" else 401, 404), answer
        answers.append(answer)
    if path in (LOGIN, LOGOUT, ME, CALLBACK):
        first, second = answers
        assert (first.status, first.code) == (second.status, second.code), answers
        assert "no-store" in first.all("cache-control")[0], first
    tally[f"{answers[0].status}"] += 1


def logout_form(data: bytes) -> None:
    """A logout without a word from the browser about its origin ends the session only with that session's token."""
    app, text = house("requests"), data.decode("latin-1").replace("{csrf}", _csrf())
    app.clock.now = START
    sent = dict(fields_of(text)).get("xwms_csrf_token")
    headers = [FORM, ("Accept", "application/json"), ("Cookie", f"{app.session_cookie}={_session()}")]
    good = sent == _csrf()
    for door in doors_for(data):
        answer = app.send(door, LOGOUT, method="POST", headers=headers, body=text.encode("latin-1"))
        judge(answer)
        if not good:
            assert (answer.status, answer.code) == (403, "cross_site"), (text, answer)
            assert "set-cookie" not in dict(answer.headers), answer
        else:
            assert answer.status in (303, 403), answer  # the second time there is no session
    tally["let in" if good else "refused"] += 1


@cache
def _backchannel_house() -> House:
    app = House(
        flow="oauth2",
        issuer=ISSUER,
        backchannel_path=BACKCHANNEL,
        authorization_endpoint="http://127.0.0.1:9/authorize",
        token_endpoint="http://127.0.0.1:9/token",
        jwks_uri="http://127.0.0.1:9/jwks",
        session_store="memory://",
    )
    document = json.dumps({"keys": [key.jwk for key in keys().values()]}).encode()
    app.wire.answer = lambda sent: http_answer(document)
    return app


@cache
def _logout_token() -> str:
    return signed(keys()["EdDSA"], LOGOUT_CLAIMS)


def backchannel_form(data: bytes) -> None:
    """A back-channel logout ends something only with a token that the server signed, in the form, and only once."""
    app, text = _backchannel_house(), data.decode("latin-1").replace("{token}", _logout_token())
    app.clock.now = START
    good = dict(fields_of(text)).get("logout_token") == _logout_token() and len(text) <= 65_536
    for door in doors_for(data):
        answer = app.send(door, BACKCHANNEL, method="POST", headers=[FORM], body=text.encode("latin-1"))
        judge(answer)
        # The second time it has been used; without keys at hand the rate limit may come first.
        assert answer.status in ((200, 400) if good else (400, 429)), (text, answer)
        assert json.loads(answer.body) in ({}, {"error": "invalid_request"}) or answer.code == "too_many_logins", answer
        assert _logout_token() not in f"{answer.body!r}{answer.lines}", answer
        assert not answer.all("set-cookie"), answer
    tally["taken" if good else "refused"] += 1


# --- seeds -----------------------------------------------------------------------------------------------------------


def _text(method: str, target: str, headers: dict[str, str], body: str = "") -> bytes:
    lines = "".join(f"{name}: {value}\n" for name, value in headers.items())
    return f"{method} {target}\n{lines}\n{body}".encode("latin-1")


@cache
def _seeds() -> list[bytes]:
    seeds = []
    paths = (
        LOGIN,
        LOGOUT,
        ME,
        CALLBACK,
        f"{CALLBACK}?token={TOKEN}",
        "/who",
        "/private?a=b",
        "/hello",
        "/cached",
        "/",
        "/nothing",
    )
    visitors = (
        FROM_HERE,
        FROM_ELSEWHERE,
        {"Accept": "application/json", "Cookie": "{session}"},
        {"HX-Request": "true"},
    )
    seeds += [_text("GET", path, headers) for path, headers in product(paths, visitors)]
    seeds += [
        _text(method, path, FROM_HERE)
        for method, path in product(("HEAD", "OPTIONS", "PUT", "POST"), (LOGIN, LOGOUT, CALLBACK))
    ]
    seeds += [_text("GET", LOGIN, {**FROM_HERE, name: value}) for name, value in FORWARDED]
    seeds += [
        _text("GET", LOGIN, {**FROM_HERE, "Origin": f"https://{host}", "Referer": f"https://{host}/"})
        for host in HOSTS
        if len(host) < 99
    ]
    odd = {
        "Sec-Fetch-Dest": "iframe",
        "Sec-Fetch-Site": "cross-site",
        "Sec-Purpose": "prefetch",
        "Accept-Language": "nl;q=9,-,zh-" * 9,
    }
    seeds += [_text("GET", path, odd) for path in paths]
    seeds += [_text("GET", f"{LOGIN}?fresh=1&params=a&ui_locales=nl&prompt=none&confirm=00000000&moved=1", FROM_HERE)]
    seeds += [
        _text("POST", LOGOUT, {"Cookie": "{session}", "Origin": ORIGIN, FORM[0]: FORM[1]}, "xwms_csrf_token={csrf}")
    ]
    seeds += [
        _text(
            "POST",
            LOGIN,
            {**FROM_HERE, "Origin": "null", FORM[0]: FORM[1]},
            "confirm=00000000&link=1&xwms_csrf_token=a",
        )
    ]
    seeds += [_text("OPTIONS", ME, {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"})]
    raw = [target.raw.decode("latin-1") for target in NEAR_MISSES]
    return [*seeds, *(_text("GET", target, FROM_HERE) for target in raw if target.startswith("/"))]


def _form_seeds(name: str, token: str) -> list[bytes]:
    seeds = (seed.decode("latin-1") for seed in lines_of("seeds", "forms"))
    return [seed.replace("{name}", name).replace("{token}", token).encode("latin-1") for seed in seeds]


@cache
def _logout_seeds() -> list[bytes]:
    return _form_seeds("xwms_csrf_token", "{csrf}") + _form_seeds("xwms_csrf_token", _csrf())[-6:]


@cache
def _backchannel_seeds() -> list[bytes]:
    return _form_seeds("logout_token", "{token}") + _form_seeds("logout_token", _logout_token())[-6:]


TARGETS: Final = (
    Target(run=request, seeds=_seeds, pieces=PIECES, longest=6000, figure=200_000),
    Target(run=logout_form, seeds=_logout_seeds, pieces=(*PIECES, b"{csrf}", b"."), longest=6000, figure=50_000),
    Target(
        run=backchannel_form, seeds=_backchannel_seeds, pieces=(*PIECES, b"{token}", b"."), longest=6000, figure=50_000
    ),
)
