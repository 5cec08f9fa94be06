"""Cookie headers and sealed values: nobody is signed in, and no login goes on, by a value that was not issued."""

import base64
import hmac
import json
import re
from functools import cache, partial
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.attacks import forge
from tests.fuzz.house import START, SUB, TOKEN, doors_for, house
from tests.fuzz.judges import judge, signs_in, tally
from tests.fuzz.lines import lines_of
from tests.fuzz.targets import Target
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, PROGRAM
from xwms_auth import Secret
from xwms_auth._core.base.crypto.sealing import Sealed
from xwms_auth._core.base.effects import Runtime, run
from xwms_auth._core.config.context import Context
from xwms_auth._core.http.messages import read_cookie, read_cookies
from xwms_auth._core.io.transport import HTTPTransport
from xwms_auth._core.sessions.lookup import look_up
from xwms_auth.stores.cookie import CookieStore

OTHER: Final = "xwms-user-5678"


@cache
def issued() -> dict[str, str]:
    """The values of session cookies that count, and whose they are."""
    app = house()
    return {app.session(sub=sub): sub for sub in (SUB, OTHER)}


def plainly(header: str, name: str) -> str | None:
    """Split at semicolons, take spaces and tabs off, and look for exactly this name; two are none."""
    parts = [part.strip(" \t") for part in header.split(";")]
    found = [part.removeprefix(f"{name}=") for part in parts if part.startswith(f"{name}=")]
    return found[0] if len(found) == 1 else None


def session_cookie(data: bytes) -> None:
    """Somebody is signed in exactly where one cookie of our name has exactly a value that was issued."""
    app, header = house(), data.decode("latin-1")
    value = plainly(header, app.session_cookie)
    assert read_cookie(header, app.session_cookie) == value, header
    sub = issued().get(value or "")
    for door in doors_for(data):
        answer = app.send(door, "/who", headers=[*PROGRAM.items(), ("Cookie", header)])
        judge(answer)
        assert (answer.status, answer.body) == (200, sub.encode()) if sub else answer.status == 401, (header, answer)
        assert not any(one in answer.lines for one in issued()), answer.lines
        assert not signs_in(answer) or sub, answer
    tally["somebody" if sub else "nobody"] += 1


@cache
def _runtime() -> tuple[Context, Runtime]:
    context = Context.of(house().config)
    store = CookieStore(context.session_sealer, issuer=context.config.issuer, lifetime=context.config.lifetime_seconds)
    return context, Runtime(transport=HTTPTransport(context.config), store=store)


def session_lookup(data: bytes) -> None:
    """The lookup of a session finds somebody exactly where one cookie of our name has a value that was issued."""
    header, (context, runtime) = data.decode("latin-1"), _runtime()
    value = plainly(header, house().session_cookie)
    session = run(look_up(context, header, context.only_uri, now=START), runtime).session
    assert (session.user.sub if session else None) == issued().get(value or ""), (header, session)
    tally["somebody" if session else "nobody"] += 1


def pending_cookie(data: bytes) -> None:
    """A callback signs in exactly where one cookie of a pending login, under its own name, was issued for its token."""
    app, template = house(callback_token="same"), data.decode("latin-1")
    for door in doors_for(data):
        app.clock.now += 4_000  # what was claimed has expired
        name, _, value = app.pending(TOKEN).partition("=")
        header = template.replace("{name}", name).replace("{value}", value).replace("{prefix}", app.login_prefix)
        found = read_cookies(header, app.login_prefix).get(name.removeprefix(app.login_prefix))
        assert found == plainly(header, name), header
        headers = [*{**FROM_ELSEWHERE, **PROGRAM}.items(), ("Cookie", header)]
        answer = app.send(door, CALLBACK, query=f"token={TOKEN}", headers=headers)
        judge(answer)
        assert signs_in(answer) == (found == value), (header, answer)
        assert TOKEN not in answer.lines, answer.lines
    tally["signed in" if signs_in(answer) else "refused"] += 1


# --- sealed values, beside a second opener ---------------------------------------------------------------------------

PURPOSES: Final = ("session", "login/sign-token", "login/oauth2", "record")
AUDIENCE: Final = "fx-client@https://xwms.nl/api/"
PLACES: Final = ("", "a-login-", "login-params")


@cache
def _opener(purpose: str) -> Sealed:
    return Sealed([Secret(forge.KEY)], purpose=purpose, audience=AUDIENCE)


def sealed_value(data: bytes) -> None:
    """A sealed value opens exactly where a second implementation opens it, for one purpose and one place only."""
    text = data.decode("latin-1")
    opened = []
    for purpose in PURPOSES:
        for place in PLACES:
            value = _opener(purpose).open_text(text, place=place)
            assert (value is None) == (_open_plainly(text, purpose, place) is None), (text, purpose, place)
            if value is not None:
                assert value == json.loads(_open_plainly(text, purpose, place) or b"")
                opened.append((purpose, place))
        _opener(purpose).is_of_other_key(text)
    assert len(opened) <= 1, opened
    assert bool(opened) == (text in _sealed()), text
    tally["opened" if opened else "refused"] += 1


def _open_plainly(text: str, purpose: str, place: str) -> bytes | None:
    """The form of the head of `crypto/sealing.py`, with cryptography alone."""
    if not re.fullmatch(r"(?:[A-Za-z0-9_-]{4})+", text) or len(text) > 16 * 1024:
        return None
    raw = base64.urlsafe_b64decode(text)
    info = f"xwms-auth/1/{purpose}/{AUDIENCE}".encode()
    if raw[:1] != b"\x01" or raw[1:3] != forge.hkdf(forge.KEY, b"key-id:" + info, 2):
        return None
    cipher = AESGCM(_subkey(purpose, raw[15:21]))
    try:
        return cipher.decrypt(raw[3:15], raw[21:], info + place.encode())
    except (InvalidTag, ValueError):
        return None


@cache
def _key(purpose: str) -> bytes:
    return forge.hkdf(forge.KEY, f"xwms-auth/1/{purpose}/{AUDIENCE}".encode())


def _subkey(purpose: str, salt: bytes) -> bytes:
    return hmac.digest(_key(purpose), salt, "sha256")


@cache
def _sealed() -> tuple[str, ...]:
    values = ([1, "a"], {"ui_locales": "nl", "login_hint": "ada@mail.example"}, "text", 17)
    return tuple(
        _opener(purpose).seal_text(value, place=place)
        for purpose, place, value in zip(PURPOSES, (*PLACES, ""), values, strict=True)
    )


# --- seeds -----------------------------------------------------------------------------------------------------------

SEPARATORS: Final = lines_of("pieces", "cookies")


@cache
def _session_seeds() -> list[bytes]:
    app = house()
    name, (mine, other) = app.session_cookie, issued()
    words = {"name": name, "mine": mine, "other": other, "cut": mine[:-4], "prefix": app.login_prefix}
    words |= {"lower": name.lower(), "percent": name.replace("H", "%48"), "bare": name.removeprefix("__Host-")}
    seeds = [seed.decode("latin-1").format(**words) for seed in lines_of("seeds", "session_cookie")]
    pending = app.pending(TOKEN).partition("=")[2]
    signed = forge.signed(app, forge.base64url(json.dumps(app.person()).encode()))  # type: ignore[arg-type]
    return [seed.encode("latin-1") for seed in (*seeds, f"{name}={pending}", f"{name}={signed}")]


@cache
def _sealed_seeds() -> list[bytes]:
    return [*(text.encode() for text in _sealed()), b"", b"AQ", b"A" * 52, b"." * 80, b"AXYZ" * 20]


def _with_names(*names: str) -> tuple[bytes, ...]:
    return (*SEPARATORS, *(name.encode() for name in names))


_APP: Final = house()
TARGETS: Final = (
    Target(
        run=session_cookie, seeds=_session_seeds, pieces=_with_names(_APP.session_cookie), longest=700, figure=200_000
    ),
    Target(
        run=session_lookup,
        seeds=_session_seeds,
        pieces=_with_names(_APP.session_cookie),
        longest=700,
        figure=200_000,
    ),
    Target(
        run=pending_cookie,
        seeds=partial(lines_of, "seeds", "pending_cookie"),
        pieces=_with_names("{name}", "{value}", "{prefix}"),
        figure=50_000,
    ),
    Target(run=sealed_value, seeds=_sealed_seeds, pieces=(b"AA", b"-", b"_", b"=", b"+", b"/", b"AQ"), figure=200_000),
)
