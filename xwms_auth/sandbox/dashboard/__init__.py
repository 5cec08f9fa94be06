"""The dashboard of a local XWMS: accounts and clients, as server-rendered pages.

What is allowed and what is valid is decided in `domain/`.
"""

from flask import Blueprint

from xwms_auth.sandbox.dashboard import (
    api_log,
    clients,
    domains,
    faults,
    members,
    people,
    plan,
    redirect_uris,
    roles,
    scopes,
    secrets,
    sign_in,
    users,
)
from xwms_auth.sandbox.dashboard.page import DASHBOARD_PREFIX, Dashboard
from xwms_auth.sandbox.dashboard.time_formats import iso_time, plain_time
from xwms_auth.sandbox.domain.directory import initials

__all__ = ["DASHBOARD_PREFIX", "Dashboard", "dashboard_routes"]


def dashboard_routes(dashboard: Dashboard) -> Blueprint:
    """The routes below /dashboard."""
    pages = Blueprint("dashboard", __name__, url_prefix=DASHBOARD_PREFIX)
    for page in (
        sign_in,
        plan,
        members,
        roles,
        clients,
        secrets,
        redirect_uris,
        domains,
        scopes,
        users,
        api_log,
        people,
        faults,
    ):
        dashboard.serve(pages, page.RULES)
    pages.add_app_template_filter(initials)
    pages.add_app_template_filter(iso_time)
    pages.add_app_template_filter(plain_time)
    return pages
