"""CK-09 and CK-13 over HTTP: a cookie that we did not issue exactly so is none, whoever made it and with whatever."""

import asyncio
import base64
import hashlib
import hmac
import json
import pickle
import random
from collections.abc import Callable, Iterator
from typing import Any

import itsdangerous
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from tests.attacks import forge
from tests.corpus.tokens import PLAUSIBLE
from tests.tools.site import CALLBACK, PROGRAM, Site

SEED = 20_261_123
MUTANTS = 10_000  # of each of the two cookies, at one edge and the other in turn: what opens them is behind both
BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def session_of(site: Site, **claims: object) -> str:
    browser = site.browser()
    browser.log_in(**claims)
    return browser.cookies()[site.session_cookie]


def login_of(site: Site) -> str:
    browser = site.browser()
    browser.start("/hello")
    return browser.pending()


def swapped(text: str, place: int, new: str) -> str:
    return text[:place] + new + text[place + 1 :]


def systematic(good: str, other: str) -> Iterator[str]:
    """Every single fault, and every trick with the encoding."""
    for place, char in enumerate(good):
        yield from (swapped(good, place, chr(ord(char) ^ (1 << bit))) for bit in range(8))
        yield from (
            good[:place],
            good[place:] if place else "",
            swapped(good, place, ""),
            swapped(good, place, char * 2),
        )
        yield swapped(good, place, char.swapcase())
        if place + 1 < len(good):
            yield good[:place] + good[place + 1] + char + good[place + 2 :]
    payload, _, signature = good.rpartition(".")
    other_payload, _, other_signature = other.rpartition(".")
    yield from (f"{payload}.{other_signature}", f"{other_payload}.{signature}", f"{signature}.{payload}")
    yield from (payload, signature, f"{payload}.", f".{signature}", f"{payload}..{signature}", f".{good}", f"{good}.")
    yield from (f"{payload}.{payload}", f"{good}.{signature}", good + good, f"{good},{good}", f'"{good}"', f"{good} x")
    yield from (
        f"{good}{pad}" for pad in ("=", "==", "%", "%3D", "\n", "\r\n", "\t\x0b", "\x00", "\xa0", "+", "/", "-", "_")
    )
    yield from (f"{payload}{pad}.{signature}" for pad in ("=", "==", "\n", " ", "%3D", "A", "AA"))
    for part in filter(None, (payload, signature)):
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
        for again in (base64.b64encode, base64.b16encode, base64.b32encode, base64.b85encode, base64.urlsafe_b64encode):
            text = again(raw).decode()
            if text != part:
                yield good.replace(part, text)
        # The spare bits of the last character: the same bytes, written otherwise.
        yield from (good.replace(part, part[:-1] + last) for last in BASE64 if last != part[-1])


def mutants(good: str, other: str) -> Iterator[str]:
    """The systematic ones, then random ones of one to four faults, the same in each run."""
    yield from systematic(good, other)
    dice = random.Random(SEED)
    while True:
        text = good
        for _ in range(dice.randint(1, 4)):
            place = dice.randrange(len(text) + 1)
            new = "".join(chr(dice.randrange(256)) for _ in range(dice.randint(0, 3)))
            text = text[:place] + new + text[place + dice.randint(0, 3) :]
        yield text


def distinct(good: str, other: str, count: int = MUTANTS) -> list[str]:
    """So many different mutants, none of which is the good value to whoever reads cookies."""
    found: dict[str, None] = {}
    for mutant in mutants(good, other):
        if mutant.split(";")[0].strip(" \t") not in (good, other):
            found[mutant] = None
        if len(found) == count:
            return list(found)
    raise AssertionError("unreachable")


def for_edge(site: Site, found: list[str]) -> list[str]:
    """Every other one of them."""
    return found[site.edge == "asgi" :: 2]


def answers(site: Site, path: str, query: str, cookies: list[str]) -> list[tuple[int, bytes]]:
    """Status and body for each Cookie header; one event loop for all of them."""
    if site.edge == "flask":
        got = (site.raw(path, query=query, headers=[*PROGRAM.items(), ("Cookie", cookie)]) for cookie in cookies)
        return [(answer.status_code, answer.content) for answer in got]
    return asyncio.run(_answers(site.app, path, query, cookies))


async def _answers(app: Any, path: str, query: str, cookies: list[str]) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    for cookie in cookies:
        headers = [(b"host", b"app.example"), (b"accept", b"application/json"), (b"cookie", cookie.encode("latin-1"))]
        scope = {"type": "http", "method": "GET", "path": path, "raw_path": None, "query_string": query.encode()}
        scope |= {"headers": headers, "root_path": "", "scheme": "https", "client": None, "server": None}
        await app(scope, receive, send)
        found.append((sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])))
        sent.clear()
    return found


@pytest.mark.parametrize("store", ["cookie", "memory://"])
def test_ck_09_no_mutant_of_a_session_cookie_is_somebody(make_site, store):
    """CK-09: 10,000 of a sealed one and 2,000 of a key; 401 each time, and the good one still works."""
    site = make_site(session_store=store)
    good, other = session_of(site, sub="1"), session_of(site, sub="2")
    mutated = for_edge(site, distinct(good, other, MUTANTS if store == "cookie" else 2_000))
    sent = [f"{site.session_cookie}={mutant}" for mutant in mutated]
    statuses = [status for status, _ in answers(site, "/who", "", sent)]
    assert [mutant for mutant, status in zip(sent, statuses, strict=True) if status != 401] == []
    assert answers(site, "/who", "", [f"{site.session_cookie}={good}"]) == [(200, b"1")]


def test_ck_09_no_mutant_of_a_login_cookie_is_a_pending_login(site):
    """CK-09: 10,000; each is "not started here", and XWMS is asked no more often than the budget says."""
    (name, good), (_, other) = (login_of(site).split("=") for _ in range(2))
    sent = [f"{name}={mutant}" for mutant in for_edge(site, distinct(good, other))]
    for (status, body), mutant in zip(answers(site, CALLBACK, f"token={PLAUSIBLE}", sent), sent, strict=True):
        assert (status, b'"login_not_started"' in body) == (400, True), mutant
    assert site.fx.calls("sign-token-verify") <= 5
    # The good one gets further: its token is judged.
    ((status, body),) = answers(site, CALLBACK, f"token={PLAUSIBLE}", [f"{name}={good}"])
    assert b'"token_rejected"' in body


# --- CK-13 -----------------------------------------------------------------------------------------------------------


class Bomb:
    """What a pickle does when it is loaded."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return (pytest.fail, ("a pickle was loaded",))


PERSON: dict[str, object] = {"i": "a-session", "t": None, "a": None, "s": "17", "n": "Forged"}


def person(site: Site, **changes: object) -> list[object]:
    """A session as the record of the cookie store has it."""
    now = int(site.clock.now)
    return list({**PERSON, "t": now, "a": now, **changes}.values())


def plain(value: object) -> bytes:
    return json.dumps(value).encode()


def who(site: Site, value: str) -> int:
    return site.raw("/who", headers=[*PROGRAM.items(), ("Cookie", f"{site.session_cookie}={value}")]).status_code


def test_ck_13_the_forge_makes_what_we_make(site):
    """CK-13: so the tables below fail for the right reason. SHA-256 and AES-256-GCM, by other hands."""
    assert who(site, forge.session_cookie(site, plain(person(site)))) == 200
    token = site.fx.approve()
    cookie = forge.login_cookie(site, forge.pending(site, token))
    answer = site.raw(CALLBACK, query=f"token={token}", headers=[("Cookie", cookie)])
    assert (answer.status_code, answer.headers["location"]) == (303, "/hello")


WEAK_SIGNATURES = {
    "SHA-1": {"digest_method": hashlib.sha1},
    "MD5": {"digest_method": hashlib.md5},
    "ours, of another purpose": {},
    "derivation none": {"key_derivation": "none"},
    "the default salt": {"salt": b"itsdangerous.Signer"},
    "Flask's salt": {"salt": b"cookie-session"},
    "no algorithm": {"algorithm": itsdangerous.NoneAlgorithm()},
}


class WithoutTag:
    """AES in counter mode, and a tag that anybody can make."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def encrypt(self, nonce: bytes, plain: bytes, _context: bytes) -> bytes:
        counter = Cipher(algorithms.AES(self._key), modes.CTR(nonce + b"\0\0\0\2")).encryptor()
        return counter.update(plain) + bytes(16)


WEAK_SEALS: dict[str, dict[str, Any]] = {
    "no subkey": {"derive": lambda key: key},
    "AES-128": {"derive": lambda key: forge.subkey(key)[:16]},
    "a subkey of SHA-1": {"derive": lambda key: hmac.digest(key, forge.SALT, "sha1")[:16]},
    "a subkey of SHA-512": {"derive": lambda key: hmac.digest(key, forge.SALT, "sha512")[:32]},
    "a key of zeros": {"derive": lambda key: bytes(32)},
    "ChaCha20": {"cipher": ChaCha20Poly1305},
    "no tag": {"cipher": WithoutTag},
    "no purpose": {"context": b""},
    "another place": {"place": "a-login-"},
    "version 0": {"version": b"\x00"},
    "version 2": {"version": b"\x02"},
    "another key id": {"key_id": b"\x00\x00"},
}


def test_ck_13_one_way_of_sealing_and_no_other(site, subtests):
    """CK-13, SF-09: right key, right payload, another form; there is nothing to fall back to."""
    for case, changes in WEAK_SEALS.items():
        with subtests.test(case):
            assert who(site, forge.session_cookie(site, plain(person(site)), **changes)) == 401
            login = forge.login_cookie(site, forge.pending(site, PLAUSIBLE), **{"place": "a-login-", **changes})
            if case != "another place":
                assert callback(site, login) == "login_not_started"
    for case, changes in WEAK_SIGNATURES.items():
        with subtests.test(case):
            assert who(site, forge.signed(site, forge.base64url(plain(person(site))), **changes)) == 401
            payload = forge.base64url(plain(forge.pending(site, PLAUSIBLE)))
            cookie = f"{site.login_prefix}a-login-={forge.signed(site, payload, **changes)}"
            assert callback(site, cookie) == "login_not_started"


def callback(site: Site, cookie: str, token: str = PLAUSIBLE) -> str:
    """How a callback with this Cookie header is refused."""
    site.clock.advance(1)
    headers = [*PROGRAM.items(), ("Cookie", cookie)]
    answer = site.raw(CALLBACK, query=f"token={token}", headers=headers)
    assert answer.status_code in (400, 401)
    code: str = answer.json()["code"]
    return code


def test_ck_13_a_payload_that_is_signed_but_not_sealed_is_no_session(site):
    """CK-13, SF-08: JSON, pickles and rubbish under good signatures, and what is sealed inside of one."""
    payloads = (plain(person(site)), pickle.dumps(person(site)), pickle.dumps(Bomb()), b"", b"\x00" * 11, b"\xff" * 500)
    for purpose in (forge.SESSION, forge.LOGIN, "logout-form"):
        for payload in payloads:
            assert who(site, forge.signed(site, payload, purpose)) == 401, (purpose, payload)
            assert who(site, forge.signed(site, forge.base64url(payload), purpose)) == 401, (purpose, payload)
        sealed = forge.sealed(site, plain(person(site)))
        assert who(site, forge.signed(site, sealed.encode(), purpose)) == 401, purpose
        assert who(site, forge.sealed(site, plain(person(site)), purpose)) == (200 if purpose == forge.SESSION else 401)


def test_ck_13_another_key_signs_and_seals_nothing(site):
    """CK-12, CK-13: also with the id of the right key, which is no secret."""
    right_id = base64.urlsafe_b64decode(forge.sealed(site, b"")[:4])[1:]
    for key in ("", "k", "secret", "K3y-for-tests-0123456789-abcdefghi", "fx-client"):
        assert who(site, forge.session_cookie(site, plain(person(site)), key=key)) == 401, key
        assert who(site, forge.session_cookie(site, plain(person(site)), key=key, key_id=right_id)) == 401, key
        login = forge.login_cookie(site, forge.pending(site, PLAUSIBLE), key=key)
        assert callback(site, login) == "login_not_started", key


@pytest.mark.parametrize("timed", [itsdangerous.TimestampSigner, itsdangerous.URLSafeTimedSerializer])
def test_ck_13_other_forms_of_itsdangerous_are_not_ours(site, timed):
    salt = forge.salt_of(site, forge.SESSION)
    if timed is itsdangerous.TimestampSigner:
        value = timed(forge.KEY, salt=salt, key_derivation="hmac", digest_method=hashlib.sha256).sign(
            forge.sealed(site, plain(person(site)))
        )
    else:
        options = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
        value = timed(forge.KEY, salt=salt, signer_kwargs=options).dumps(person(site)).encode()
    assert who(site, value.decode()) == 401


ODD_BODIES: tuple[bytes, ...] = (
    b"",
    b"null",
    b"true",
    b"17",
    b'"17"',
    b"[]",
    b"{}",
    b"[[[",
    b"{",
    b"NaN",
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    b"[" * 1_000 + b"]" * 1_000,
    b"1" * 5_000,
    pickle.dumps(Bomb()),
)


def test_ck_13_a_signed_and_sealed_body_that_is_no_record_is_nobody(site):
    """CK-13: what only the key's holder can send still breaks nothing."""
    for body in ODD_BODIES:
        assert who(site, forge.session_cookie(site, body)) == 401, body[:20]
        sealed = forge.sealed(site, body, forge.LOGIN, place="a-login-")
        assert callback(site, f"{site.login_prefix}a-login-={sealed}") == "login_not_started", body[:20]


ODD_RECORDS: tuple[dict[str, object], ...] = (
    {"s": None},
    {"s": ""},
    {"s": " "},
    {"s": True},
    {"s": ["17"]},
    {"s": "1" * 256},
    {"s": "\ud800"},
    {"s": "a\x00b"},
    {"i": None},
    {"i": 17},
    {"t": None},
    {"t": "1"},
    {"t": True},
    {"t": 1.5},
    {"t": -1},
    {"t": 10**30},
    {"a": None},
    {"a": "1"},
    {"a": 10**30},
    {"a": -(10**30)},
    {"a": 0},
)


def test_ck_13_a_record_with_a_part_of_another_kind_is_nobody(site):
    """CK-13, SL-13: an older version's records, or a thief's."""
    for changes in ODD_RECORDS:
        assert who(site, forge.session_cookie(site, plain(person(site, **changes)))) == 401, changes


ODD_LOGINS: tuple[dict[str, object], ...] = (
    {"id": None},
    {"hash": None},
    {"hash": 1},
    {"next": None},
    {"uri": None},
    {"uri": ""},
    {"uri": "AAAAAAAAAAAAAAAA"},
    {"started_at": "1"},
    {"started_at": 1.5},
    {"started_at": 10**30},
    {"lasts": None},
    {"lasts": "9"},
    {"lasts": 1e300},
    {"lasts": -1},
    {"here": 1},
    {"here": None},
    {"fresh": "30"},
    {"fresh": None, "person": {}},
    {"fresh": None, "person": {"sub": 0, "issuer": None}},
)


def test_ck_13_a_pending_login_with_a_part_of_another_kind_is_none(site, subtests):
    """CK-13: and the good ones beside it stay."""
    for number, changes in enumerate(ODD_LOGINS):
        token = f"{PLAUSIBLE}{number}"
        with subtests.test(changes=changes):
            odd, good = (forge.pending(site, token, **one) for one in (changes, {"id": f"another-one-{number:04}"}))
            bad = forge.login_cookie(site, odd)
            assert callback(site, bad, token) in ("login_not_started", "login_expired")
            beside = forge.login_cookie(site, good, place="another-")
            assert callback(site, f"{bad}; {beside}", token) == "token_rejected"
