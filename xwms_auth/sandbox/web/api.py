"""The API of a local XWMS: every call that XWMS documents, in its envelope.

`domain/request_checks.py` decides who may call.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, cast

from flask import Blueprint, Response, request
from sqlalchemy.orm import Session
from werkzeug.exceptions import HTTPException

from xwms_auth.sandbox.db import Database
from xwms_auth.sandbox.db.schema import Client, Person
from xwms_auth.sandbox.domain import address_book, api_log, clients, directory, sign_ins
from xwms_auth.sandbox.domain.countries import countries
from xwms_auth.sandbox.domain.problems import Invalid, Missing
from xwms_auth.sandbox.domain.request_checks import (
    Caller,
    Credentials,
    Purpose,
    Refused,
    check_call,
    check_redirect_url,
    has_scope,
    require_scope,
    user,
)
from xwms_auth.sandbox.domain.urls import API_PREFIX
from xwms_auth.sandbox.faults.injection import instead_of_the_call, with_fault
from xwms_auth.sandbox.web.responses import Refusal, success

_Call = Callable[[Session, Caller, dict[str, object]], Response]


_NAMES: Final = {
    "info": "general_info",
    "global/countries": "countries",
    "global/projects": "projects",
    "get/user/address": "user_address",
    "get/user/info": "user_info",
    "sign-token": "auth_signin",
    "sign-token-verify": "auth_verify",
}
"""The names of the endpoints in `info`, as XWMS documents them. `user/address` has none there, and keeps its path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The calls. `public_url` is the sandbox's own URL without a trailing slash; `token_lifetime` is in seconds."""

    database: Database
    clock: Callable[[], float]
    public_url: str
    token_lifetime: float

    def blueprint(self) -> Blueprint:
        """The routes below /api/."""
        api = Blueprint("api", __name__, url_prefix=API_PREFIX)
        api.add_url_rule("/info", view_func=self.info, methods=["GET"])
        api.add_url_rule("/global/projects", view_func=self.projects, methods=["GET"])
        for endpoint, (purpose, call) in self._secured().items():
            view = self._checked(endpoint, purpose, call)
            api.add_url_rule(f"/{endpoint}", endpoint=call.__name__, view_func=view, methods=["POST"])
        api.after_request(self._log_replaced_call)
        return api

    def _secured(self) -> Mapping[str, tuple[Purpose, _Call]]:
        return {
            "sign-token": ("login", self.sign_token),
            "sign-token-verify": ("login", self.sign_token_verify),
            "global/countries": ("api", self.countries),
            "get/user/info": ("api", self.user_info),
            "get/user/address": ("api", self.list_addresses),
            "user/address": ("api", self.user_address),
        }

    def _checked(self, endpoint: str, purpose: Purpose, call: _Call) -> Callable[[], Response]:
        """The view of a secured call: it is checked first, always logged, and rolled back if it fails."""

        def view() -> Response:
            now, credentials = self.clock(), _credentials()
            body = _read_body()  # before the unit of work, in which a slow sender would block all other requests
            response: Response | None = None
            refusal: HTTPException | None = None
            status, reason = 200, ""
            with self.database.work() as session:
                client = clients.find(session, credentials.client_id)
                try:
                    with session.begin_nested():
                        caller = check_call(client, credentials, purpose=purpose, now=now)
                        response = call(session, caller, _json_object(body))
                except Refused as error:
                    refusal, reason = Refusal(error.status, error.message), error.reason
                except Invalid as error:
                    refusal = Refusal(422, str(error))
                    # The names of the fields instead of the sentence, which may quote the body.
                    reason = f"The body is not valid: see {', '.join(error.problems)}."
                except Missing:
                    refusal = Refusal(404, "The address is not known.")
                except HTTPException as error:
                    refusal = error
                if refusal is not None:
                    status, reason = refusal.code or 500, reason or str(refusal.description)
                _log(session, client, credentials, endpoint=endpoint, at=now, status=status, reason=with_fault(reason))
            if refusal is not None:
                raise refusal
            return cast("Response", response)

        return view

    def _log_replaced_call(self, response: Response) -> Response:
        """Log a secured call that a fault has replaced; `_checked` logs all others."""
        reason, endpoint = instead_of_the_call(), str(request.url_rule).removeprefix(f"{API_PREFIX}/")
        if reason and endpoint in self._secured():
            now, credentials, status = self.clock(), _credentials(), response.status_code
            with self.database.work() as session:
                client = clients.find(session, credentials.client_id)
                _log(session, client, credentials, endpoint=endpoint, at=now, status=status, reason=reason)
        return response

    def info(self) -> Response:
        """Information about this server; needs no credentials."""
        return success(
            "Welcome to the local XWMS.",
            {
                "application": {
                    "name": "XWMS sandbox",
                    "description": "A local XWMS for development.",
                    "version": "sandbox",
                    "locale": "en",
                    "timezone": "UTC",
                    "time": _iso(self.clock()),
                },
                "client": {"ip": request.remote_addr, "user_agent": request.headers.get("User-Agent")},
                "api": {
                    "documentation": "https://xwms.nl/",
                    "endpoints": {
                        _NAMES.get(path, path): f"{self.public_url}{API_PREFIX}/{path}"
                        for path in ("info", "global/projects", *self._secured())
                    },
                },
            },
        )

    def projects(self) -> Response:
        """The projects of XWMS; needs no credentials. The sandbox has one project, itself."""
        project = {
            "id": 1,
            "title": "Local XWMS",
            "description": "This sandbox.",
            "image": f"{self.public_url}/static/person.png",
            "link": f"{self.public_url}/",
            "is_new": False,
            "direct_redirect": False,
            "published_at": "2026-01-01T00:00:00+00:00",
            "categories": [{"id": 1, "name": "Development"}],
        }
        return success("The projects.", {"projects": [project]})

    def sign_token(self, session: Session, caller: Caller, body: dict[str, object]) -> Response:
        """Start a login: returns a token and the URL of the sign-in page."""
        redirect_url = _required_text(body, "redirect_url")
        check_redirect_url(caller, redirect_url)
        now = self.clock()
        expires_at = now + self.token_lifetime
        token = sign_ins.begin(
            session, caller.client, caller.domain, redirect_url=redirect_url, expires_at=expires_at, now=now
        )
        return success(
            "The sign token was created.",
            {
                "client_id": caller.client.client_id,
                "token": token,
                "email": None,
                "expires_at": _iso(expires_at),
                "url": f"{self.public_url}/sign-in/{token}",
            },
        )

    def sign_token_verify(self, session: Session, caller: Caller, body: dict[str, object]) -> Response:
        """Redeem a token for its person, once; `redirect_url`, which XWMS's SDKs send, is accepted and not used."""
        token = _required_text(body, "token")
        _no_other_redirect_url(body)
        found = sign_ins.redeem(session, token, caller.client, now=self.clock())
        if isinstance(found, str) or found.person is None:
            raise Refused(401, "The token is invalid, expired or already used.", f"Refused: {found}.")
        return success("The token was verified.", directory.claims(found.person, picture=self._picture))

    def countries(self, _session: Session, _caller: Caller, body: dict[str, object]) -> Response:
        """Every country."""
        _no_other_redirect_url(body)
        return success("The countries.", {"countries": [country.row() for country in countries()]})

    def user_info(self, session: Session, caller: Caller, body: dict[str, object]) -> Response:
        """The current data of a person; without the scope `userinfo` the extra fields are null."""
        person = user(session, caller, _sub(body))
        has_userinfo = has_scope(session, caller, person, "userinfo")
        names = ("birth_date", "gender", "second_email", "country", "socials")
        extra: dict[str, object] = {name: getattr(person, name) if has_userinfo else None for name in names}
        if body.get("socials") is not True:
            del extra["socials"]
        elif not has_userinfo:
            extra["socials"] = []
        return success("The user.", {"user": directory.claims(person, picture=self._picture) | extra})

    def list_addresses(self, session: Session, caller: Caller, body: dict[str, object]) -> Response:
        """The person's addresses; needs the scope `useraddresses`."""
        return self._addresses(session, _with_addresses(session, caller, body))

    def user_address(self, session: Session, caller: Caller, body: dict[str, object]) -> Response:
        """List, create, update or delete addresses; needs the scope `useraddresses`."""
        person = _with_addresses(session, caller, body)
        match _required_text(body, "action"):
            case "list":
                return self._addresses(session, person)
            case "create":
                address = address_book.add(session, person, _address(body))
                return success("The address was created.", {"address": address_book.row(address)})
            case "update":
                address = address_book.address_of(session, person, _address_id(body))
                address_book.change(address, _address(body))
                return success("The address was updated.", {"address": address_book.row(address)})
            case "delete":
                address = address_book.address_of(session, person, _address_id(body))
                session.delete(address)
                return success("The address was deleted.", {"address": address_book.row(address)})
            case _:
                raise Refusal(422, "The action must be list, create, update or delete.")

    def _addresses(self, session: Session, person: Person) -> Response:
        rows = [address_book.row(address) for address in address_book.addresses_of(session, person)]
        return success("The addresses.", {"addresses": rows})

    @property
    def _picture(self) -> str:
        return f"{self.public_url}/static/person.png"


def _with_addresses(session: Session, caller: Caller, body: dict[str, object]) -> Person:
    person = user(session, caller, _sub(body))
    require_scope(session, caller, person, "useraddresses")
    return person


def _log(
    session: Session,
    client: Client | None,
    credentials: Credentials,
    *,
    endpoint: str,
    at: float,
    status: int,
    reason: str,
) -> None:
    api_log.note(
        session,
        at=at,
        client=client,
        method=request.method,
        endpoint=endpoint,
        domain=credentials.domain or None,
        ip=credentials.ip,
        status=status,
        reason=reason,
    )


def _credentials() -> Credentials:
    return Credentials(
        client_id=request.headers.get("X-Client-Id", ""),
        client_secret=request.headers.get("X-Client-Secret", ""),
        domain=request.headers.get("X-Client-Domain", ""),
        ip=request.remote_addr,
    )


def _read_body() -> bytes | HTTPException:
    """The body, or the error in reading it, which is raised only after the credentials were checked."""
    try:
        return request.get_data()
    except HTTPException as error:
        return error


def _json_object(body: bytes | HTTPException) -> dict[str, object]:
    if not request.is_json:
        raise Refusal(415, "The Content-Type must be application/json.")
    if isinstance(body, HTTPException):
        raise body
    try:
        parsed: object = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, "The request body is not JSON.") from None
    if not isinstance(parsed, dict):
        raise Refusal(422, "The request body must be a JSON object.")
    return cast("dict[str, object]", parsed)


def _required_text(body: dict[str, object], field: str) -> str:
    value = body.get(field)
    if value is None or value == "":
        raise Refusal(422, f"The {field} field is required.")
    if not isinstance(value, str):
        raise Refusal(422, f"The {field} field must be a string.")
    return value


def _no_other_redirect_url(body: dict[str, object]) -> None:
    if body.get("redirect_url") is not None:
        _required_text(body, "redirect_url")


def _sub(body: dict[str, object]) -> str:
    """The sub, a string or a whole number, never rounded. 0 and null, results of a careless cast, are refused."""
    value = body.get("sub")
    if value is None or value == "" or value is False or value == 0:
        raise Refusal(422, "The sub field is required.")
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return str(value)
    if not isinstance(value, str):
        raise Refusal(422, "The sub field must be a string or a whole number.")
    return value


def _address(body: dict[str, object]) -> dict[str, object]:
    address = body.get("address")
    if address == []:
        return {}  # PHP writes an empty array this way, whatever it stands for
    if not isinstance(address, dict):
        raise Refusal(422, "The address field must be an object.")
    return cast("dict[str, object]", address)


def _address_id(body: dict[str, object]) -> int:
    value = body.get("address_id")
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 10**18:
        raise Refusal(422, "The address_id field is required." if value is None else "The address_id is not valid.")
    return value


def _iso(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="seconds")
