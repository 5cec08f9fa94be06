"""The API log of a client: each call, what was answered, and why it was refused.

Knows: this page.
Must not: hold anything that `api_log.py` has not written down.
"""

from typing import Final

from flask import Response, request

from xwms_auth.sandbox.dashboard.desk import Rule, Visit
from xwms_auth.sandbox.dashboard.words import exact_time
from xwms_auth.sandbox.domain import api_log

_MOST: Final = 200


def show(visit: Visit, client: int) -> Response:
    """The latest calls; with `?refused=yes` those that were refused, or that a fault struck."""
    found = visit.client(client)
    refused = request.args.get("refused") == "yes"
    calls = api_log.calls_of(visit.db, found, limit=_MOST, refused_only=refused)
    return visit.show("api_log.html", client=found, calls=calls, refused=refused, most=_MOST, exact_time=exact_time)


RULES: Final = (Rule(name="api_log.show", method="GET", path="/clients/<int:client>/log", view=show),)
