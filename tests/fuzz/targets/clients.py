"""`XWMSClient` beside `AsyncXWMSClient`, and beside other parsers: every call makes the same of the same answer.

The first line of a value is the name of a call, the rest is the answer.
"""

import asyncio
import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from tests.corpus.answers import BAD_URLS, GOOD_URLS, SUBS, envelope
from tests.fuzz.answers import FAILURES, MARK, body_of, framed, id_of, object_of
from tests.fuzz.house import SUB, TOKEN, Wire, house, http_answer
from tests.fuzz.judges import documented, tally, where_a_browser_goes
from tests.fuzz.lines import lines_of
from tests.fuzz.shapes import shaped
from tests.fuzz.targets import Target
from tests.fuzz.targets.upstream import LOGIN_ORIGINS, person_in
from tests.tools.fake_xwms import CANARY, CLIENT_ID
from tests.tools.site import HTTPS_URI
from xwms_auth import Address, APIError, AsyncXWMSClient, XWMSClient, XWMSConfig
from xwms_auth._core.base.strict_json import parse_json_object

ADDRESS: Final = Address(city="Delft")
CALLS: Final[dict[str, Callable[[Any], Any]]] = {
    "info": lambda client: client.info(),
    "sign_token": lambda client: client.sign_token(HTTPS_URI),
    "verify_token": lambda client: client.verify_token(TOKEN, HTTPS_URI),
    "countries": lambda client: client.countries(),
    "projects": lambda client: client.projects(),
    "user_info": lambda client: client.user_info(SUB),
    "list": lambda client: client.addresses(SUB).list(),
    "create": lambda client: client.addresses(SUB).create(ADDRESS),
    "update": lambda client: client.addresses(SUB).update("7", ADDRESS),
    "delete": lambda client: client.addresses(SUB).delete("7"),
}
KNOWN: Final = FAILURES | {"token_rejected", "not_approved", "not_found", "request_rejected"}
_PLAIN: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,1024}")

PIECES: Final = (*lines_of("pieces", "clients"), *lines_of("pieces", "answers"))


@cache
def _setting() -> tuple[XWMSConfig, Wire, asyncio.AbstractEventLoop]:
    config = house(login_origins=LOGIN_ORIGINS).config
    return config, Wire(lambda sent: b""), asyncio.new_event_loop()


def two_clients(data: bytes) -> None:
    """Both clients give the same, with the ids that other parsers find in the answer, or the same error."""
    name, _, rest = data.partition(b"\n")
    call = name.decode("latin-1")
    if call not in CALLS:
        call, rest = "user_info", data
    answer = framed(rest)
    config, wire, loop = _setting()
    with wire.answering(lambda sent: answer), wire.plugged():
        with XWMSClient(config) as client:
            first = _outcome(lambda: CALLS[call](client))
        second = loop.run_until_complete(_async_outcome(config, call))
    assert _seen(first) == _seen(second), (data, first, second)
    found = body_of(answer)
    expected = _ids(call, found)
    if isinstance(first, APIError):
        assert first.code in KNOWN, (data, first)
        assert documented()[first.code] == first.status, first
        assert MARK not in f"{first}{first.cause}", first
        assert CANARY not in f"{first}{first.cause}", first
        if expected is not None and found is not None:
            assert parse_json_object(found[2]) is None, (data, first)
        tally[f"{call}: an error"] += 1
        return
    assert expected is not None, (data, first)
    assert _ids_of(call, first) == expected, (data, first, expected)
    tally[f"{call}: taken"] += 1


def _outcome(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except APIError as error:
        return error


async def _async_outcome(config: XWMSConfig, call: str) -> Any:
    async with AsyncXWMSClient(config) as client:
        try:
            return await CALLS[call](client)
        except APIError as error:
            return error


def _seen(outcome: Any) -> Any:
    """What can be compared."""
    if not isinstance(outcome, APIError):
        return type(outcome), outcome
    return type(outcome), outcome.code, outcome.cause, outcome.upstream_status, outcome.retry_after, outcome.sent


# --- the second implementation: which ids an answer has for a call, or None if it is not one ------------------------


def _ids_of(call: str, outcome: Any) -> list[str]:
    if isinstance(outcome, tuple):
        return [one.id for one in outcome]
    if call in ("verify_token", "user_info"):
        return [outcome.sub]
    if call == "sign_token":
        return [outcome.token, outcome.url]
    return [outcome.id] if call in ("create", "update") else []


def _ids(call: str, found: Any) -> list[str] | None:
    if call == "verify_token":
        person = person_in(found)
        return None if person is None else [person]
    parsed = object_of(found)
    if parsed is None or parsed.get("status") != "success":
        return None
    data = parsed.get("data")
    if call == "delete":
        return []
    if call in ("countries", "projects", "list"):
        key = "addresses" if call == "list" else call
        entries = data.get(key) if isinstance(data, dict) else data
        if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries) or len(entries) > 1000:
            return None
        if call == "list" and isinstance(data, dict) and not _echoes(data, "sub", SUB):
            return None
        return _all([_ENTRIES[key](one) for one in entries])
    if not isinstance(data, dict):
        return None
    if call == "info":
        return []
    if call == "sign_token":
        return _ticket(parsed, data)
    if call == "user_info":
        user = data.get("user")
        return _all([_user(user if isinstance(user, dict) and user else data)])
    address = data.get("address")
    number = _address(address) if isinstance(address, dict) and _echoes(data, "sub", SUB) else None
    return None if call == "update" and number != "7" else _all([number])


def _all(ids: list[str | None]) -> list[str] | None:
    known = [one for one in ids if one is not None]
    return known if len(known) == len(ids) else None


def _echoes(data: dict[str, Any], name: str, expected: str) -> bool:
    return data.get(name) is None or str(data[name]) == expected


def _is_plain(value: object) -> bool:
    return isinstance(value, str) and _PLAIN.fullmatch(value) is not None


def _listed(data: dict[str, Any], name: str, is_valid: Callable[[dict[str, Any]], bool]) -> bool:
    found = data.get(name)
    if found is None:
        return True
    if not isinstance(found, list) or len(found) > 100:
        return False
    return all(isinstance(one, dict) and is_valid(one) for one in found)


def _country(data: dict[str, Any]) -> str | None:
    code = data.get("short_name")
    is_code = isinstance(code, str) and re.fullmatch("[A-Za-z]{2}", code)
    return id_of(data.get("id")) if is_code and _is_plain(data.get("name")) else None


def _project(data: dict[str, Any]) -> str | None:
    named = _listed(data, "categories", lambda one: id_of(one.get("id")) is not None and _is_plain(one.get("name")))
    return id_of(data.get("id")) if named and _is_plain(data.get("title")) else None


def _address(data: dict[str, Any]) -> str | None:
    country = data.get("country")
    return None if isinstance(country, dict) and _country(country) is None else id_of(data.get("id"))


def _user(data: dict[str, Any]) -> str | None:
    sub = id_of(data.get("sub"))
    return sub if sub == SUB and _listed(data, "socials", lambda one: _is_plain(one.get("platform"))) else None


def _ticket(parsed: dict[str, Any], data: dict[str, Any]) -> list[str] | None:
    token, url = data.get("token"), data.get("url") or data.get("redirect_url") or parsed.get("redirect_url")
    if not isinstance(token, str) or not re.fullmatch(r"[A-Za-z0-9\-._~+/=|:]{8,4096}", token):
        return None
    if not isinstance(url, str) or not re.fullmatch(r"[\x21-\x7e]{1,1800}", url) or re.search(r'[\\"<>^`{|}]', url):
        return None
    if "*" in re.split("[?#]", url)[0]:
        return None
    if not _echoes(data, "client_id", CLIENT_ID) or not re.match(r"https://(login\.)?xwms\.nl(?=[/?#]|$)", url):
        return None
    assert where_a_browser_goes(url).origin in LOGIN_ORIGINS, url
    return [token, url]


_ENTRIES: Final = {"countries": _country, "projects": _project, "addresses": _address}

# --- seeds -----------------------------------------------------------------------------------------------------------

_COUNTRY: Final = {"id": 7, "short_name": "NL", "name": "Netherlands", "phonecode": 31, "is_eu_member": 1}
_PROJECT: Final = {
    "id": 1,
    "title": "A",
    "description": "a\nb",
    "image": "https://xwms.nl/a.png",
    "link": "javascript:alert(1)",
    "published_at": "2026-01-01T00:00:00Z",
    "categories": [{"id": 1, "name": "B"}],
}
_STORED: Final = {"id": 7, "city": "Delft", "house_number": 12, "country": _COUNTRY}
_USER: Final = {
    "sub": SUB,
    "name": "Ada",
    "birth_date": "1815-12-10",
    "country": _COUNTRY,
    "socials": [{"platform": "a", "url": "https://a.example"}],
}
_GOOD: Final[dict[str, tuple[object, ...]]] = {
    "info": ({"application": {"name": "XWMS", "version": 1}, "api": {"endpoints": {"a": "b", "c": 1}}}, {}),
    "sign_token": tuple({"token": TOKEN, "url": url} for url in (*GOOD_URLS, *BAD_URLS) if len(url) < 2_000),
    "verify_token": (_USER, {"user": _USER}, {"sub": SUB, "token": "another"}),
    "countries": (
        [_COUNTRY],
        {"countries": [_COUNTRY] * 3},
        [],
        {},
        [_COUNTRY, 1],
        [{**_COUNTRY, "short_name": "NLD"}],
    ),
    "projects": ([_PROJECT], {"projects": [_PROJECT]}, [{**_PROJECT, "categories": {}}], [{**_PROJECT, "title": ""}]),
    "user_info": (_USER, {"user": _USER}, {**_USER, "socials": {}}, {**_USER, "birth_date": "0000-00-00"}, {"sub": 17}),
    "list": ([_STORED], {"addresses": [_STORED], "sub": SUB}, {"addresses": [_STORED], "sub": "other"}, [{"id": ""}]),
    "create": ({"address": _STORED}, {"address": _STORED, "sub": 1}, {"address": []}, {"address": {"id": True}}),
    "update": ({"address": _STORED}, {"address": {**_STORED, "id": 8}}, {"address": {**_STORED, "country": {}}}),
    "delete": ({}, [], None),
}


@cache
def _seeds() -> list[bytes]:
    seeds = []
    for call, bodies in _GOOD.items():
        head = call.encode() + b"\n"
        seeds += [head + envelope(json.dumps(body)) for body in bodies]
        good = envelope(json.dumps(bodies[0]))
        refused = json.dumps({"status": "error", "message": f"The secret is wrong. {MARK}", "data": {}}).encode()
        seeds += [head + http_answer(good, status=status) for status in (b"201 x", b"302 x", b"401 x", b"503 x")]
        statuses = (b"200 OK", b"400 x", b"401 x", b"403 x", b"404 x", b"422 x", b"429 x")
        seeds += [head + http_answer(refused, status=status) for status in statuses]
    seeds += [b"user_info\n" + envelope(f'{{"sub": {sub.json}}}') for sub in SUBS if len(sub.json) < 2_000]
    return [*seeds, *(b"countries\n" + answer for answer in lines_of("seeds", "answers"))]


TARGETS: Final = (
    Target(
        run=two_clients,
        seeds=_seeds,
        pieces=PIECES,
        variants=shaped(_seeds),
        longest=3000,
        figure=100_000,
    ),
)
