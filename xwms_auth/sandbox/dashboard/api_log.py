"""The API log of a client: each call, its status, and why it was refused."""

from typing import Final

from flask import Response, request

from xwms_auth.sandbox.dashboard.page import Rule, Visit, number_in_query
from xwms_auth.sandbox.dashboard.time_formats import exact_time
from xwms_auth.sandbox.domain import api_log

_ON_A_PAGE: Final = 200


def show(visit: Visit, client: int) -> Response:
    """A page of calls, the latest or with `?before=` older ones; with `?refused=yes` only those that went wrong."""
    found, refused, before = visit.client(client), request.args.get("refused") == "yes", number_in_query("before")
    calls = api_log.calls_of(visit.db, found, limit=_ON_A_PAGE + 1, refused_only=refused, before=before)
    shown = calls[:_ON_A_PAGE]
    return visit.show(
        "api_log.html",
        client=found,
        calls=shown,
        refused=refused,
        most=_ON_A_PAGE,
        before=before,
        older=shown[-1].id if len(calls) > len(shown) else None,
        exact_time=exact_time,
    )


RULES: Final = (Rule(name="api_log.show", method="GET", path="/clients/<int:client>/log", view=show),)
