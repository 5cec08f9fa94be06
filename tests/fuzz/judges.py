"""What must be true of every answer, whatever was sent: judged from outside, with a browser's own URL parser.

`ada_url` is the URL parser of Node and follows the WHATWG standard, so it reads a `Location` as browsers do.
"""

import base64
import hmac
import json
import re
from collections import Counter
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Final

import ada_url
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.attacks import forge
from tests.fuzz.house import ORIGIN, Answer, House
from tests.tools.fake_xwms import CANARY
from tests.tools.site import CALLBACK
from xwms_auth import Secret
from xwms_auth._core.base.crypto.leak_patterns import LeakPatterns

ERRORS: Final = Path(__file__).parents[2] / "docs" / "errors.md"

tally: Counter[str] = Counter()
"""What the inputs of this process came to, for the figures."""

_LEAKS: Final = tuple(LeakPatterns(Secret(secret)) for secret in (CANARY, forge.KEY))
_STYLE: Final = re.compile(rb"<style>[^<]*</style>")
"""The longest part of our pages, the same in all of them."""
_FIELD: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


@cache
def documented() -> dict[str, int]:
    """Code to status, as docs/errors.md has them."""
    found = re.findall(r"^### `([a-z_]+)`\n\nStatus: (\d{3})", ERRORS.read_text(encoding="utf-8"), re.MULTILINE)
    return {code: int(status) for code, status in found}


def where_a_browser_goes(location: str, *, base: str = ORIGIN + CALLBACK) -> ada_url.URL:
    """The URL that a browser on a page of ours resolves this Location to."""
    return ada_url.URL(location, base=base)


def stays_here(location: str, *, origins: Collection[str] = (ORIGIN,)) -> bool:
    """Whether a browser stays on one of these origins."""
    try:
        return where_a_browser_goes(location).origin in origins
    except ValueError:
        return False  # the standard knows no such URL, and browsers take some of them all the same


def judge(answer: Answer, *, may_fail: Collection[str] = (), elsewhere: Collection[str] = ()) -> None:
    """No unexpected 5xx, no secret, no header that could be split, nobody sent off.

    `may_fail` are the codes with a status of 500 or more that are expected here; `elsewhere` are further origins that
    a Location may have.
    """
    code = answer.code
    if answer.status >= 500:
        assert code in may_fail, answer
    if code is not None:
        assert documented()[code] == answer.status, answer
    for name, value in answer.headers:
        assert _FIELD.fullmatch(value), (name, value)
    for location in (*answer.all("location"), *answer.all("hx-redirect")):
        assert location.isascii(), location
        assert stays_here(location, origins=(ORIGIN, *elsewhere)), location
    shown = b"\n".join([_STYLE.sub(b"", answer.body), *(f"{name}: {value}".encode() for name, value in answer.headers)])
    for leaks in _LEAKS:
        assert not leaks.is_in(shown), answer
        assert not leaks.is_in(answer.lines.encode("utf-8", "replace")), answer.lines
    assert answer.lines.count("\n") == 0 or all(answer.lines.split("\n")), answer.lines


def signs_in(answer: Answer) -> bool:
    """Whether the answer sets a session cookie that is not a deletion."""
    return any("xwms_session_" in cookie and "Max-Age=0;" not in cookie for cookie in answer.all("set-cookie"))


def sealed_sub(app: House, answer: Answer) -> str:
    """Who is in the session cookie that an answer sets, opened with cryptography alone."""
    (cookie,) = [cookie for cookie in answer.all("set-cookie") if "xwms_session_" in cookie]
    raw = base64.urlsafe_b64decode(cookie.partition("=")[2].partition(";")[0])
    oauth = app.config.flow == "oauth2"
    audience = f"{'oauth2:' if oauth else ''}{app.config.client_id}@{app.config.issuer}"
    info = f"xwms-auth/1/session/{audience}".encode()
    cipher = AESGCM(hmac.digest(forge.hkdf(forge.KEY, info), raw[15:21], "sha256"))
    return str(json.loads(cipher.decrypt(raw[3:15], raw[21:], info))[3])
