"""RP-02 between processes: a callback that comes eight times at one moment, to two servers that share a store.

`XWMS_AUTH_TOKENS` says how many logins are tried so.

Knows: the fake XWMS, and what was asked of it.
Must not: give one server a head start.
"""

import asyncio
import os
import sys
import time
from collections import Counter
from contextlib import ExitStack

import pytest

from tests.stores.many_people import LOGIN, SESSION, Line, keep_cookies, request
from tests.stores.people_app import CALLBACK, served
from tests.stores.test_many_people import settings_for
from xwms_auth import XWMSConfig, XWMSSessions

TOKENS = int(os.environ.get("XWMS_AUTH_TOKENS", "30"))
AT_ONCE = 8
REFUSED = {400, 401}  # login_not_started where the other server was first, token_rejected where this one was


async def start(lines):
    """Start a login at one of the servers. Each starts only so many a second; then it says for how long to wait."""
    while True:
        for line in lines[:2]:
            await line.send(request("/xwms/auth?next=/who", {}))
            started = await line.answer()
            if started.status != 429:
                assert started.status == 302, started
                return started
        await asyncio.sleep(int(*started.all(b"retry-after")))


async def log_in(lines, fx, sub):
    """Start a login, and come back eight times at once with the pending cookie; the answers."""
    started, jar = await start(lines), {}
    keep_cookies(jar, started)
    (name,) = jar
    assert name.startswith(LOGIN)
    token = fx.approve(started.all(b"location")[0].rpartition("/")[2], sub=sub)
    back = request(f"{CALLBACK}?token={token}", jar, site="cross-site")
    # All but the last bytes first, so that every request is complete at nearly the same moment.
    for line in lines:
        await line.send(back[:-2])
    await asyncio.gather(*(line.send(back[-2:]) for line in lines))
    return await asyncio.gather(*(line.answer() for line in lines))


def session_of(answer):
    """The session that the answer gives, or None."""
    jar = {}
    keep_cookies(jar, answer)
    return jar.get(SESSION)


async def sub_at(line, cookie):
    """Who is signed in with this session cookie; None for nobody."""
    await line.send(request("/who", {SESSION: cookie}, site=""))
    answer = await line.answer()
    assert answer.status in (200, 401), answer
    return answer.body.decode() if answer.status == 200 else None


async def log_in_all(addresses, fx, subs):
    """Everybody after each other; gives for each the statuses, and the sessions that were given out."""
    # Four lines to each server, in turn.
    lines = [Line([addresses[number % 2]]) for number in range(AT_ONCE)]
    statuses, given = {}, {}
    try:
        for sub in subs:
            answers = await log_in(lines, fx, sub)
            statuses[sub] = sorted(answer.status for answer in answers)
            given[sub] = [cookie for answer in answers if (cookie := session_of(answer))]
        seen = {sub: [await sub_at(line, cookie) for cookie in given[sub] for line in lines[:2]] for sub in subs}
    finally:
        for line in lines:
            line.leave()
    return statuses, given, seen


@pytest.mark.parametrize(("edge", "kind"), [("asgi", "sqlite"), ("flask", "redis")])
def test_of_eight_callbacks_at_once_on_two_servers_one_signs_in(edge, kind, place, make_fx, tmp_path):
    """RP-02: exactly one session for each token, and each token is redeemed at XWMS once."""
    fx, log = make_fx(), tmp_path / "server.log"
    settings = settings_for(fx, place(kind))
    subs = [f"person-{number:04}" for number in range(TOKENS)]
    with ExitStack() as stack:
        addresses = [stack.enter_context(served(edge, settings, log, workers=1)) for _ in range(2)]
        began = time.monotonic()
        statuses, given, seen = asyncio.run(log_in_all(addresses, fx, subs))
        seconds = time.monotonic() - began
    asked = Counter(call.json["token"] for call in fx.to("sign-token-verify"))
    sessions = XWMSSessions(XWMSConfig.from_env(settings))
    kept = Counter({sub: len(sessions.list(sub)) for sub in subs})
    refusals = Counter(status for all_of_one in statuses.values() for status in all_of_one)
    # `pytest -rP` shows it.
    sys.stdout.write(
        f"{edge} {kind}: {TOKENS} tokens, {AT_ONCE} callbacks each, {seconds:.1f} s; answers {dict(refusals)}; "
        f"verified {asked.total()}; sessions {kept.total()}; load {os.getloadavg()[0]:.1f}\n"
    )
    assert {sub: some for sub, some in statuses.items() if some.count(303) != 1 or {*some} - REFUSED != {303}} == {}
    assert {sub: some for sub, some in given.items() if len(some) != 1} == {}
    assert seen == {sub: [sub, sub] for sub in subs}, "both servers know the session"
    assert set(asked.values()) == {1}
    assert asked.total() == TOKENS
    assert kept == dict.fromkeys(subs, 1)
    assert "Traceback" not in log.read_text()
