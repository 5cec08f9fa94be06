"""`next`: what it may be, by the rule of docs/security.md written down a second time, and where a browser then goes."""

import re
from functools import cache
from itertools import chain
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from tests.corpus.next_targets import DOUBTFUL, GOOD, HOSTILE, OWN_PATHS
from tests.fuzz.house import HOST, ORIGIN, house
from tests.fuzz.judges import judge, tally, where_a_browser_goes
from tests.fuzz.lines import lines_of
from tests.fuzz.targets import Target
from tests.tools.site import FROM_HERE, LOGIN, LOGOUT
from xwms_auth._core.http.next_url import safe_next

TRUSTED: Final = ("https://shop.example", "https://shop.example:8443", "http://localhost:3000")
_FORBIDDEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\\\\\ud800-\udfff]")
_OWN: Final = frozenset(path.casefold() for path in OWN_PATHS)

PIECES: Final = lines_of("pieces", "next")


def next_rule(data: bytes) -> None:
    """The rule takes exactly what is specified, and what it gives keeps a browser on this origin or a trusted one."""
    value = data.decode("utf-8", "surrogatepass") if _is_text(data) else data.decode("latin-1")
    location = safe_next(value, own_paths=OWN_PATHS, origins=TRUSTED)
    assert location == _specified(value), (value, location)
    if location is None:
        tally["refused"] += 1
        return
    url = where_a_browser_goes(location)
    origin = next((one for one in TRUSTED if location.startswith(f"{one}/")), ORIGIN)
    assert url.origin == origin, (location, url.href)
    assert re.fullmatch(r"[\x21-\x7e]+", location), location
    assert not url.pathname.startswith("//"), (location, url.href)
    assert url.pathname.rstrip("/").casefold() not in _OWN, (location, url.href)
    assert safe_next(location, own_paths=OWN_PATHS, origins=TRUSTED) == location, location
    tally["taken, on a trusted origin" if origin != ORIGIN else "taken"] += 1


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def _specified(value: str) -> str | None:
    """What docs/security.md says, point by point."""
    origin = next((one for one in TRUSTED if value.startswith(f"{one}/")), "")
    rest = value.removeprefix(origin)
    if not 1 <= len(value) <= 2048 or not re.match(r"/(?!/)", rest):
        return None
    if _FORBIDDEN.search(rest) or value[0].isspace() or value[-1].isspace():
        return None
    path = re.split(r"[?#]", rest, maxsplit=1)[0].encode()
    rounds = [path]
    while (decoded := unquote_to_bytes(rounds[-1])) != rounds[-1]:
        rounds.append(decoded)
    if len(rounds) > 6:
        return None
    for number, raw in enumerate(rounds):
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            return None
        if "//" in text or re.search("[\x00-\x1f\x7f-\x9f\\\\]", text) or not text.startswith("/"):
            return None
        if any(re.fullmatch(r"\.{1,2}(;.*)?", segment, re.DOTALL) for segment in text.split("/")):
            return None
        if re.split(";", text)[0].rstrip("/").casefold() in _OWN:
            return None
        assert number < 6
    sent = origin + quote(rest, safe="/?#[]@!$&'()*+,;=:%-._~")
    return sent if len(sent) <= 2048 else None


def next_at_doors(data: bytes) -> None:
    """A raw `next` at the start of somebody signed in and at the logout: both doors send the browser to one place here.

    With a trusted origin configured, so that there is a second origin to be on.
    """
    app = house(trusted_origins=TRUSTED)
    query = "next=" + data.decode("latin-1")
    cookie = ("Cookie", f"{app.session_cookie}={_session()}")
    started = app.both(LOGIN, query=query, headers=[*FROM_HERE.items(), cookie])
    ended = app.both(LOGOUT, query=query, method="POST", headers=[*FROM_HERE.items(), ("Origin", f"https://{HOST}")])
    for answer in (started, ended):
        judge(answer, elsewhere=TRUSTED)
        assert answer.status == 303, answer
    (start,), (end,) = started.all("location"), ended.all("location")
    assert (start, end) == ("/", "/") or start == end, (start, end)
    tally["led somewhere" if start != "/" else "fell back"] += 1


@cache
def _session() -> str:
    return house(trusted_origins=TRUSTED).session()


@cache
def _seeds() -> list[bytes]:
    values = [*chain.from_iterable(HOSTILE.values()), *(value for value, _ in GOOD), *DOUBTFUL]
    values += [f"{origin}{value}" for origin in TRUSTED for value, _ in GOOD[:10]]
    return [value.encode("utf-8", "surrogatepass") for value in values if len(value) <= 2200]


@cache
def _raw_seeds() -> list[bytes]:
    return (
        [quote(seed, safe="/%").encode() for seed in _seeds()] + _seeds() + [b"/a&next=//evil.example", b"/a;next=/b"]
    )


def _variants(data: bytes) -> tuple[bytes, ...]:
    return (
        data,
        b"/" + data,
        TRUSTED[0].encode() + data,
        b"/" + quote(data).encode(),
        b"/a" + data.replace(b"%", b"%25"),
    )


TARGETS: Final = (
    Target(run=next_rule, seeds=_seeds, pieces=PIECES, variants=_variants, longest=160, figure=1_000_000),
    Target(run=next_at_doors, seeds=_raw_seeds, pieces=(*PIECES, b"&next=", b"+"), longest=160, figure=100_000),
)
