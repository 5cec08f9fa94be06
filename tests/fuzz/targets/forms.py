"""The form that starts a login, or confirms who somebody is: headers of who posted it, and its fields, at both doors.

A value is lines of headers, an empty line and the body; `{key}` and `{cookie}` are of a login that waits for a click.
"""

from functools import cache
from typing import Final

from tests.attacks import forge
from tests.fuzz.house import HOST, ORIGIN, SUB, Answer, House, doors_for, house
from tests.fuzz.judges import judge, sealed_sub, signs_in, tally
from tests.fuzz.lines import lines_of
from tests.fuzz.targets import Target
from tests.fuzz.targets.callbacks import fields_of
from tests.fuzz.targets.cookies import plainly
from tests.fuzz.targets.sockets import HEADER
from tests.tools.site import LOGIN, PROGRAM

XWMS: Final = "http://127.0.0.1:9"
KEY: Final = "00000007"
_READ: Final = ("origin", "sec-fetch-site", "content-type", "cookie", "referer")
"""Headers that a value may have; `request` has all the others."""

PIECES: Final = lines_of("pieces", "forms")


def _waiting(app: House) -> tuple[str, str]:
    """Name and value of the cookie of a login that waits for the person's click."""
    claims = {"sub": SUB, "name": "Ada Lovelace", "issuer": app.config.issuer}
    login = forge.pending(app, "", id=f"{KEY}-of-fuzz", hash="", fresh=None, person=claims)  # type: ignore[arg-type]
    name, _, value = forge.login_cookie(app, login, place=KEY).partition("=")  # type: ignore[arg-type]
    return name, value


def login_form(data: bytes) -> None:
    """A form signs in only with the key and the cookie of a login that waits, and starts one only from this site."""
    app = house("forms", callback_token="same")
    for door in doors_for(data):
        app.clock.now += 4_000  # what was claimed has expired
        name, value = _waiting(app)
        text = data.decode("latin-1").replace("{cookie}", f"{name}={value}").replace("{name}", name)
        head, _, body = text.replace("{value}", value).replace("{key}", KEY).partition("\n\n")
        headers = _headers_of(head)
        if headers is None:
            tally["no request"] += 1
            return
        answer = app.send(
            door, LOGIN, method="POST", headers=[*PROGRAM.items(), *headers.items()], body=body.encode("latin-1")
        )
        judge(answer, elsewhere=(XWMS,))
        waits = plainly(headers.get("cookie", ""), name) == value
        fields = _fields(headers, body)
        if not _is_own(headers):
            expected = "cross_site"
        elif waits and fields.get("confirm") == KEY:
            expected = "signed in"
        else:
            expected = "nobody_to_link" if fields.get("link") == "1" else "started"
        assert _outcome(app, answer) == expected, (data, expected, answer)
        assert signs_in(answer) == (expected == "signed in"), (data, answer)
        assert len(app.wire.requests) == (expected == "started"), (data, app.wire.requests)
    tally[expected] += 1


def _outcome(app: House, answer: Answer) -> str | None:
    if answer.status == 303:
        assert answer.all("location") == ["/hello"], answer
        assert sealed_sub(app, answer) == SUB, answer
        return "signed in"
    if answer.status == 302:
        assert answer.all("location")[0].startswith(f"{XWMS}/sign-in/"), answer
        return "started"
    return answer.code


def _headers_of(head: str) -> dict[str, str] | None:
    """The headers that count here; None for what no server hands on, and where one is there twice."""
    headers: dict[str, str] = {}
    for line in filter(None, head.split("\n")):
        found = HEADER.fullmatch(line)
        if found is None or found[1].lower() in headers:
            return None
        if found[1].lower() in _READ:
            headers[found[1].lower()] = found[2]
    return headers


def _is_own(headers: dict[str, str]) -> bool:
    """Whether a page of this site has posted the form, by the headers that no page can choose."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is None:
        return origin == ORIGIN
    return site == "same-origin" and (origin in (None, "null", ORIGIN) or origin.partition("://")[2] == HOST)


def _fields(headers: dict[str, str], body: str) -> dict[str, str]:
    kind = headers.get("content-type", "").partition(";")[0].strip(" \t").lower()
    return dict(fields_of(body)) if kind == "application/x-www-form-urlencoded" and len(body) <= 65_536 else {}


@cache
def _seeds() -> list[bytes]:
    own = f"Origin: {ORIGIN}\nContent-Type: application/x-www-form-urlencoded\nCookie: {{cookie}}\n\n"
    bodies = [body.decode("latin-1") for body in lines_of("seeds", "forms")]
    bodies = [body.replace("{name}", "confirm").replace("{token}", "{key}") for body in bodies]
    return [*((own + body).encode("latin-1") for body in bodies), *lines_of("seeds", "login_form")]


TARGETS: Final = (Target(run=login_form, seeds=_seeds, pieces=PIECES, longest=3000, figure=50_000),)
