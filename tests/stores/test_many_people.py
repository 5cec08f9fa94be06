"""SL-14: four processes, 250 people, and as many requests as `XWMS_AUTH_REQUESTS` says. Nobody is taken for another.

Knows: what the crowd counts.
Must not: leave a complaint of a server unread.
"""

import asyncio
import os
import sys
from collections import Counter

import pytest

from tests.stores.conftest import KEY
from tests.stores.many_people import TAG, Crowd
from tests.stores.people_app import CALLBACK, served
from tests.tools.fake_xwms import CANARY, CLIENT_ID
from xwms_auth import XWMSConfig, XWMSSessions

PEOPLE, WORKERS = 250, 4
REQUESTS = int(os.environ.get("XWMS_AUTH_REQUESTS", "1000"))


def settings_for(fx, url):
    """The environment of a server whose sessions are at this address."""
    return {
        "XWMS_CLIENT_ID": CLIENT_ID,
        "XWMS_CLIENT_SECRET": CANARY,
        "XWMS_REDIRECT_URI": f"https://app.example{CALLBACK}",
        "XWMS_API_URI": fx.api_url,
        "XWMS_SESSION_SECRET": KEY,
        "XWMS_SESSION_STORE": url,
        "XWMS_COOKIE_TAG": TAG,
        # So that busy people are renewed every six seconds.
        "XWMS_SESSION_IDLE": "120",
    }


@pytest.mark.parametrize(("edge", "kind"), [("asgi", "redis"), ("flask", "sqlite"), ("asgi", "postgres")])
def test_nobody_is_ever_taken_for_somebody_else(edge, kind, place, make_fx, tmp_path):
    """SL-14, DS-10: also where visitors hang up in the middle of what their request has begun (CVE-2023-28858)."""
    fx, log = make_fx(), tmp_path / "server.log"
    settings = settings_for(fx, place(kind))
    with served(edge, settings, log, workers=WORKERS) as address:
        crowd = Crowd([address], fx, people=PEOPLE, seed=REQUESTS)
        tally = asyncio.run(crowd.visit(REQUESTS))
    sessions = XWMSSessions(XWMSConfig.from_env(settings))
    kept = {person.sub: len(sessions.list(person.sub)) for person in crowd.people}
    complaints = log.read_text()
    # `pytest -rP` shows it.
    sys.stdout.write(f"{edge} {kind}: {tally}; sessions {sum(kept.values())}; load {os.getloadavg()[0]:.1f}\n")
    sys.stdout.write(f"{Counter(complaints.splitlines()).most_common(5)}\n")
    assert tally.strange == []
    assert tally.unexpected == []
    assert "Traceback" not in complaints, complaints[-3000:]
    assert all(kept[person.sub] for person in crowd.people if person.signed_in)
    assert tally.left.total() > REQUESTS / 50
    assert tally.too_slow < REQUESTS / 20
