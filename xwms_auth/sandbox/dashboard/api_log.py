"""The API log of a client: each call, its status, and why it was refused."""

from typing import Final

from flask import Response, request

from xwms_auth.sandbox.dashboard.page import Rule, Visit
from xwms_auth.sandbox.dashboard.time_formats import exact_time
from xwms_auth.sandbox.domain import api_log

_MAX_CALLS: Final = 200


def show(visit: Visit, client: int) -> Response:
    """The latest calls; with `?refused=yes` only refused calls and those affected by a fault."""
    found = visit.client(client)
    refused = request.args.get("refused") == "yes"
    calls = api_log.calls_of(visit.db, found, limit=_MAX_CALLS, refused_only=refused)
    return visit.show(
        "api_log.html", client=found, calls=calls, refused=refused, most=_MAX_CALLS, exact_time=exact_time
    )


RULES: Final = (Rule(name="api_log.show", method="GET", path="/clients/<int:client>/log", view=show),)
