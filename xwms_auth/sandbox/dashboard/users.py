"""The users of a client: the people who have approved it. Shows no more about a person than the client knows."""

from typing import Final

from flask import Response

from xwms_auth.sandbox.dashboard.page import Rule, Visit, number_in_query
from xwms_auth.sandbox.domain import approvals, grants
from xwms_auth.sandbox.domain.accounts import Permission

_ON_A_PAGE: Final = 200


def list_all(visit: Visit, client: int) -> Response:
    """A page of users, the latest first."""
    found, page = visit.client(client), number_in_query("page") or 1
    first = (page - 1) * _ON_A_PAGE
    return visit.show(
        "users.html",
        client=found,
        users=approvals.users_of(visit.db, found, limit=_ON_A_PAGE, offset=first),
        total=approvals.count_users(visit.db, found),
        first=first + 1,
        page=page,
        enabled=approvals.scopes_of(found),
        always=approvals.OPENID_SCOPES,
    )


def revoke(visit: Visit, client: int, user: int) -> Response:
    """Revoke a person's approval."""
    found = visit.client(client)
    approval = approvals.user_of(visit.db, found, user)
    visit.dashboard.tell_logouts(visit.db, approvals.revoke(visit.db, approval, now=visit.now))
    text = f"The approval of {approval.person.name} was revoked. Calls about them are refused until they log in again."
    return visit.done(text, "users.list", client=client)


def log_out(visit: Visit, client: int, user: int) -> Response:
    """End a person's OAuth logins; the approval stays."""
    approval = approvals.user_of(visit.db, visit.client(client), user)
    ended = grants.end_all(visit.db, approval, now=visit.now)
    visit.dashboard.tell_logouts(visit.db, ended)
    text = (
        f"{approval.person.name} was logged out: {len(ended)} login{'' if len(ended) == 1 else 's'} over OAuth ended."
    )
    return visit.done(text, "users.list", client=client)


_PATH: Final = "/clients/<int:client>/users"

RULES: Final = (
    Rule(name="users.list", method="GET", path=_PATH, view=list_all),
    Rule(
        name="users.revoke",
        method="POST",
        path=f"{_PATH}/<int:user>/revoke",
        view=revoke,
        needs=Permission.REVOKE_USERS,
    ),
    Rule(
        name="users.log_out",
        method="POST",
        path=f"{_PATH}/<int:user>/log-out",
        view=log_out,
        needs=Permission.REVOKE_USERS,
    ),
)
