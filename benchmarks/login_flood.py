"""What people get who log in while somebody floods the start of logins, and what XWMS hears of it.

The WSGI door in this process, with the address of each visitor as a server tells it behind a proxy that passes it on;
XWMS is played, and the clock is moved, so that the figures do not depend on the machine. Five people a second come for
the first time, each from an address of their own, and log in; meanwhile a flood starts `--rate` logins a second from
the addresses of the story, all in a random order. `late` is the second half, when the burst is over.

In the second table the flood is of callbacks with junk, and every other second somebody's browser brings a token that
belongs to no login of this process: how many of these are spent at once?

    python benchmarks/login_flood.py [--json] [--quick] [--seconds N] [--rate N] [--package CHECKOUT]

`--package` is the root of another checkout, whose package serves the application: for figures from before a change.
"""

import argparse
import json
import logging
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parents[1]
PEOPLE = 5
BEGAN = 1_800_000_000
URI = "https://app.example/xwms/validateToken"
PROXY = "10.0.0.1"


class Story(NamedTuple):
    """Who floods: so many addresses, in so many networks of theirs."""

    name: str
    addresses: int
    networks: int
    is_told: bool = True

    def address(self, rng: random.Random) -> str:
        """The address of one request of the flood, as the server tells it."""
        number = rng.randrange(self.addresses)
        if not self.is_told:
            return PROXY
        if self.networks < self.addresses:
            return f"2001:db8:bad:{number:x}::1"
        return f"{20 + number // 62_500}.{number // 250 % 250}.{number % 250}.7"


STORIES = (
    Story("no flood", 0, 0),
    Story("one address", 1, 1),
    Story("100 addresses in 100 networks", 100, 100),
    Story("65,536 /64 of one IPv6 /48", 65_536, 1),
    Story("1,000 addresses in 1,000 networks", 1000, 1000),
    Story("a million addresses, each in its own network", 1_000_000, 1_000_000),
    Story("one visitor, where the proxy passes nothing on", 1, 1, is_told=False),
)


class Site:
    """The application, with an XWMS that answers at once and counts what it is asked."""

    def __init__(self) -> None:
        from xwms_auth import XWMSConfig  # noqa: PLC0415  that of the package that was chosen
        from xwms_auth._core.base.effects import UpstreamResponse  # noqa: PLC0415
        from xwms_auth._core.io.transport import HTTPTransport  # noqa: PLC0415
        from xwms_auth.wsgi import XWMSAuth  # noqa: PLC0415

        self.now = float(BEGAN)
        self.calls: Counter[str] = Counter()

        def send(_: object, call: Any) -> UpstreamResponse:
            self.calls[call.path] += 1
            number = f"{self.calls.total():08}"
            login = {"token": f"token-{number}", "url": f"https://xwms.nl/sign-in/token-{number}"}
            data = login if call.path == "sign-token" else {"sub": number}
            body = json.dumps({"status": "success", "message": "OK", "data": data}).encode()
            return UpstreamResponse(status=200, content_type="application/json", body=body)

        setattr(HTTPTransport, "send", send)  # noqa: B010  a method of a class that mypy knows
        config = XWMSConfig(
            client_id="client",
            client_secret="secret-of-a-benchmark",
            redirect_uris=URI,
            session_secret="for-a-benchmark-only-0123456789-abcdefghij",
            callback_token="same",
        )
        self._app = XWMSAuth(lambda environ, start_response: [], config, clock=lambda: self.now)

    def get(self, path: str, address: str, cookie: str = "", **query: str) -> tuple[int, dict[str, str]]:
        """The status and the headers; in `Set-Cookie` the pairs of all cookies."""
        environ = {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": urlencode(query),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "app.example",
            "HTTP_ACCEPT": "text/html",
            "HTTP_COOKIE": cookie,
            "REMOTE_ADDR": address,
            "wsgi.url_scheme": "https",
            "wsgi.input": BytesIO(),
        }
        got: list[tuple[int, dict[str, str]]] = []

        def start_response(status: str, headers: Iterable[tuple[str, str]], exc_info: object = None) -> Any:
            found: dict[str, str] = {}
            for name, value in headers:
                pair = value.partition(";")[0] if name == "Set-Cookie" else value
                found[name] = f"{found[name]}; {pair}" if name == "Set-Cookie" and name in found else pair
            got.append((int(status.split(" ", maxsplit=1)[0]), found))

        b"".join(self._app(environ, start_response))
        return got[-1]

    def log_in(self, address: str) -> bool:
        """Whether somebody who comes for the first time can log in."""
        status, headers = self.get("/xwms/auth", address)
        if status != 302:
            return False
        token = headers["Location"].rpartition("/")[2]
        status, _ = self.get("/xwms/validateToken", address, headers["Set-Cookie"], token=token)
        return status == 303


def person(number: int, story: Story) -> str:
    return f"198.{18 + number // 250 % 200}.{number % 250}.9" if story.is_told else PROXY


def play(site: Site, story: Story, *, seconds: int, rate: int, others: int, both: Callable[[str | None], None]) -> None:
    """Call `both` with each address of the flood, and with None for each of the others, in a random order."""
    rng = random.Random(story.name)
    for _ in range(seconds):
        moments = [
            (rng.random(), is_flood) for is_flood in [True] * (rate if story.addresses else 0) + [False] * others
        ]
        second = int(site.now)
        for moment, is_flood in sorted(moments):
            site.now = second + moment
            both(story.address(rng) if is_flood else None)
        site.now = second + 1


def megabytes() -> float:
    """The resident memory of this process."""
    return int(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024


def starts(story: Story, *, seconds: int, rate: int) -> dict[str, Any]:
    """People log in while others start logins."""
    site, came = Site(), 0
    site.log_in("192.88.99.1")
    site.now += 60
    halves: list[dict[str, float]] = []
    before = megabytes()
    for _ in range(2):
        good = here = 0

        def one(address: str | None) -> None:
            nonlocal good, here, came
            if address is not None:
                site.get("/xwms/auth", address)
                return
            came, here = came + 1, here + 1
            good += site.log_in(person(came, story))

        asked = site.calls["sign-token"]
        play(site, story, seconds=seconds // 2, rate=rate, others=PEOPLE, both=one)
        calls = (site.calls["sign-token"] - asked) / (seconds // 2)
        halves.append({"logged in": good, "people": here, "calls": calls})
    early, late = halves
    return {
        "flood of starts from": story.name,
        "logged in": _share(early["logged in"] + late["logged in"], came),
        "late": _share(late["logged in"], late["people"]),
        "calls/s": round(early["calls"], 1),
        "late calls/s": round(late["calls"], 1),
        "memory, MB": round(megabytes() - before, 1),
    }


def spends(story: Story, *, seconds: int, rate: int) -> dict[str, Any]:
    """Tokens of victims arrive while others send junk."""
    site, number, spent, victims = Site(), 0, 0, 0

    def one(address: str | None) -> None:
        nonlocal number, spent, victims
        number += 1
        if address is None and int(site.now) % 2:
            return
        asked = site.calls["sign-token-verify"]
        site.get("/xwms/validateToken", address or person(number, story), token=f"foreign-token-{number:08}")
        if address is None:
            victims, spent = victims + 1, spent + site.calls["sign-token-verify"] - asked

    play(site, story, seconds=seconds, rate=rate, others=1, both=one)
    return {
        "flood of junk from": story.name,
        "victims' tokens spent at once": _share(spent, victims),
        "calls/s": round(site.calls["sign-token-verify"] / seconds, 1),
    }


def _share(part: float, whole: float) -> str:
    return f"{100 * part / max(1, whole):.0f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quick", action="store_true", help="a few seconds of two stories")
    parser.add_argument("--seconds", type=int, default=120, help="how long each story lasts, by its own clock")
    parser.add_argument("--rate", type=int, default=200, help="requests a second of the flood")
    parser.add_argument("--package", default=str(ROOT), help="the checkout whose package serves the application")
    options = parser.parse_args()
    sys.path.insert(0, options.package)  # runs from a checkout, installed or not
    logging.getLogger("xwms_auth").setLevel(logging.CRITICAL)
    stories, seconds = (STORIES[1:2], 6) if options.quick else (STORIES, options.seconds)
    rows = [[measure(story, seconds=seconds, rate=options.rate) for story in stories] for measure in (starts, spends)]
    if options.json:
        print(json.dumps({"rows": [row for table in rows for row in table]}, indent=2))
        return
    for table in rows:
        print(f"| {' | '.join(table[0])} |\n|{'---|' * len(table[0])}")
        for row in table:
            print(f"| {' | '.join(map(str, row.values()))} |")
        print()


if __name__ == "__main__":
    main()
