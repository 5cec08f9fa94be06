"""Back-channel logout: the app is told, server to server, that a login has ended (OpenID Connect Back-Channel Logout).

Knows: what a logout token says, and how it is delivered: once, soon, and without anybody waiting for it.
Must not: decide what ends; or follow where an answer leads.
"""

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
from xwms_auth.sandbox.domain import api_log, signing

ENDPOINT: Final = "backchannel-logout"
"""What a delivery is called in the API log; it is a call that the sandbox makes."""

LOGOUT_TOKEN_LIFETIME: Final = 120.0  # seconds, as section 2.4 has it
PATIENCE: Final = 3.0  # seconds for one app to answer
_AT_ONCE: Final = 4
_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Delivery:
    uri: str
    token: str
    client_pk: int
    domain: str

    def __repr__(self) -> str:
        return f"_Delivery({self.uri!r})"


class Deliveries:
    """Logout tokens on their way. `close()` lets none begin any more, and waits for those that have."""

    def __init__(self, *, database: Database, clock: Callable[[], float], issuer: str) -> None:
        self._database = database
        self._clock = clock
        self._issuer = issuer
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="xwms-backchannel")

    def announce(self, session: Session, ended: Sequence[Grant]) -> None:
        """Tell the apps, once this request is over and what ended has ended for good. Needs Flask's request."""
        now = self._clock()
        due = [
            _Delivery(
                uri=grant.client.backchannel_logout_uri,
                token=self._token(session, grant, now=now),
                client_pk=grant.client_pk,
                domain=grant.domain.root_domain,
            )
            for grant in ended
            if grant.client.backchannel_logout_uri is not None
        ]

        def send(answer: Response) -> Response:
            for delivery in due:
                self._threads.submit(self._deliver, delivery)
            return answer

        after_this_request(send)

    def close(self) -> None:
        """Call it before the database is closed: each delivery is written into the API log."""
        self._threads.shutdown(cancel_futures=True)

    def _token(self, session: Session, grant: Grant, *, now: float) -> str:
        said: dict[str, object] = {
            "iss": self._issuer,
            "aud": grant.client.client_id,
            "iat": int(now),
            "exp": int(now + LOGOUT_TOKEN_LIFETIME),
            "jti": secrets.token_urlsafe(16),
            "sub": grant.person.sub,
            "sid": grant.sid,
            "events": {_EVENT: {}},
        }
        return signing.sign(session, said, kind="logout+jwt", now=now)

    def _deliver(self, delivery: _Delivery) -> None:
        status, reason = _post(delivery)
        with self._database.work() as session:
            client = session.get(Client, delivery.client_pk)
            if client is not None:  # it may have been deleted meanwhile
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
    """The status that the app answered with, or a gateway's; and what went wrong."""
    try:
        with httpx2.stream(
            "POST", delivery.uri, data={"logout_token": delivery.token}, timeout=PATIENCE, trust_env=False
        ) as answer:
            status = answer.status_code
    except httpx2.TimeoutException:
        return 504, f"The app did not answer within {PATIENCE:g} seconds."
    except (httpx2.HTTPError, httpx2.InvalidURL):
        return 502, "The app could not be reached."
    return status, "" if 200 <= status < 300 else "The app did not accept the logout token."
