"""Back-channel logout: logout tokens for apps whose logins have ended (OpenID Connect Back-Channel Logout).

Each is sent once, in a background thread. Redirects are not followed.
"""

import logging
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import httpx2
from flask import Response, after_this_request
from sqlalchemy.orm import Session

from xwms_auth.sandbox.db import Database
from xwms_auth.sandbox.db.schema import Client, Grant
from xwms_auth.sandbox.domain import api_log
from xwms_auth.sandbox.oauth.without_authlib import NEEDS_EXTRA, is_installed

ENDPOINT: Final = "backchannel-logout"
"""The name of a delivery in the API log, which is a call that the sandbox makes."""

LOGOUT_TOKEN_LIFETIME: Final = 120.0  # seconds, as recommended in section 2.4
DELIVERY_TIMEOUT: Final = 3.0  # seconds for one app to respond
_MAX_THREADS: Final = 4
_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"

_log = logging.getLogger("xwms_auth.sandbox")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Delivery:
    uri: str
    token: str
    client_pk: int
    domain: str

    def __repr__(self) -> str:
        return f"_Delivery({self.uri!r})"


class Deliveries:
    """Sends logout tokens. `close()` cancels those that have not started, and waits for the others."""

    def __init__(self, *, database: Database, clock: Callable[[], float], issuer: str) -> None:
        self._database = database
        self._clock = clock
        self._issuer = issuer
        self._threads = ThreadPoolExecutor(_MAX_THREADS, thread_name_prefix="xwms-backchannel")

    def announce(self, session: Session, ended: Sequence[Grant]) -> None:
        """Send the logout tokens after this request, when the end of the logins is committed. Needs Flask's request."""
        now = self._clock()
        ended = [grant for grant in ended if grant.client.backchannel_logout_uri is not None]
        if ended and not is_installed():  # they are from a start with Authlib, in the database file
            _log.warning("Apps are not told of a logout. %s", NEEDS_EXTRA)
            return
        due = [
            _Delivery(
                uri=str(grant.client.backchannel_logout_uri),
                token=self._token(session, grant, now=now),
                client_pk=grant.client_pk,
                domain=grant.domain.root_domain,
            )
            for grant in ended
        ]

        def send(response: Response) -> Response:
            for delivery in due:
                self._threads.submit(self._deliver, delivery)
            return response

        after_this_request(send)

    def close(self) -> None:
        """Call it before closing the database, since each delivery is added to the API log."""
        self._threads.shutdown(cancel_futures=True)

    def _token(self, session: Session, grant: Grant, *, now: float) -> str:
        claims: dict[str, object] = {
            "iss": self._issuer,
            "aud": grant.client.client_id,
            "iat": int(now),
            "exp": int(now + LOGOUT_TOKEN_LIFETIME),
            "jti": secrets.token_urlsafe(16),
            "sub": grant.person.sub,
            "sid": grant.sid,
            "events": {_EVENT: {}},
        }
        from xwms_auth.sandbox.domain import signing  # noqa: PLC0415  an extra

        return signing.sign(session, claims, kind="logout+jwt", now=now)

    def _deliver(self, delivery: _Delivery) -> None:
        status, reason = _post(delivery)
        with self._database.work() as session:
            client = session.get(Client, delivery.client_pk)
            if client is not None:  # it may have been deleted in the meantime
                api_log.note(
                    session,
                    at=self._clock(),
                    client=client,
                    method="POST",
                    endpoint=ENDPOINT,
                    domain=delivery.domain,
                    ip=None,
                    status=status,
                    reason=reason,
                )


def _post(delivery: _Delivery) -> tuple[int, str]:
    """The status of the app's response, or 502 or 504; and the reason for the log."""
    try:
        with httpx2.stream(
            "POST", delivery.uri, data={"logout_token": delivery.token}, timeout=DELIVERY_TIMEOUT, trust_env=False
        ) as response:
            status = response.status_code
    except httpx2.TimeoutException:
        return 504, f"The app did not respond within {DELIVERY_TIMEOUT:g} seconds."
    except (httpx2.HTTPError, httpx2.InvalidURL):
        return 502, "The app could not be reached."
    return status, "" if 200 <= status < 300 else "The app did not accept the logout token."
