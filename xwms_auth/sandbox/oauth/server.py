"""The authorization server: Authlib's, for one request and in one unit of work.

Client authentication is the sandbox's own judgement, so that OAuth and the sign-token API refuse alike: what the API
answers with 401 is `invalid_client` here, and what it answers with 403 is `unauthorized_client`.

Knows: how a request is read, how a client proves itself, how tokens are made, and what is said of a refusal.
Must not: know where a request came in, or keep anything from one request to the next.
"""
# pyright: reportUnknownMemberType=false, reportUnknownParameterType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingParameterType=false, reportIncompatibleMethodOverride=false
# pyright: reportIncompatibleVariableOverride=false
# Authlib has half its types, and those of its server stand for any framework.

import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import Final, cast
from urllib.parse import unquote_plus

from authlib.oauth2 import AuthorizationServer, OAuth2Error, OAuth2Request
from authlib.oauth2.rfc6749 import ClientMixin, InvalidClientError, OAuth2Payload, UnauthorizedClientError
from authlib.oauth2.rfc6749.errors import InvalidScopeError, UnsupportedGrantTypeError
from flask import Response
from sqlalchemy.orm import Session
from werkzeug.datastructures import Authorization, Headers, MultiDict

from xwms_auth.sandbox.db.schema import Client, ClientSecret, Domain, Grant
from xwms_auth.sandbox.domain import clients, grants
from xwms_auth.sandbox.domain.request_checks import Caller, Refused, check_domain, enabled, usable_secret
from xwms_auth.sandbox.oauth.parties import HeldToken, KnownClient, grant_of

AUTH_METHODS: Final = ("client_secret_basic", "client_secret_post")


class Payload(OAuth2Payload):
    """The parameters of a request, from its query or from its form and never from both."""

    def __init__(self, parameters: "MultiDict[str, str]") -> None:
        self._parameters = parameters

    @property
    def data(self) -> dict[str, str]:
        """Each parameter's first value."""
        return self._parameters.to_dict()

    @property
    def datalist(self) -> dict[str, list[str]]:
        """Each parameter's values."""
        return self._parameters.to_dict(flat=False)


class Request(OAuth2Request):
    """A request for Authlib. Its own of Flask reads query and form as one, and refuses plain http."""

    payload: Payload
    headers: Mapping[str, str]

    def __init__(self, method: str, parameters: "MultiDict[str, str]", headers: Headers) -> None:
        # Authlib wants https of every address; this server may also be spoken to over http, from a container say.
        super().__init__(method, "https://sandbox.invalid/", headers=dict(headers))
        self.payload = Payload(parameters)

    @property
    def args(self) -> dict[str, str | None]:
        """The parameters."""
        return dict(self.payload.data)

    @property
    def form(self) -> dict[str, str]:
        """The parameters too; which of the two there are was decided before."""
        return self.payload.data


class Unspoken(dict[str, str | int]):
    """A token answer that does not print itself: Authlib logs each at DEBUG."""

    def __repr__(self) -> str:
        return "<tokens>"


class Server(AuthorizationServer):
    """Authlib's server over the sandbox's data. `reason`, `client` and `domain` are for the API log, after the answer.

    `caller` is who asks at the authorization endpoint, where nobody proves anything.
    ip: the address that the request came from. access_lifetime: seconds.
    """

    def __init__(self, session: Session, *, now: float, issuer: str, access_lifetime: float, ip: str | None) -> None:
        super().__init__()
        self.session = session
        self.now = now
        self.issuer = issuer
        self.access_lifetime = access_lifetime
        self.reason = ""
        self.client: Client | None = None
        self.domain: Domain | None = None
        self.caller: Caller | None = None
        self._ip = ip
        self._secret: ClientSecret | None = None

    # --- what Authlib asks for ---

    def query_client(self, client_id: str) -> KnownClient:
        """The client with this id. Raises `OAuth2Error`."""
        found = clients.find(self.session, client_id)
        if found is None:
            raise InvalidClientError("The client ID is not known.")
        return KnownClient(client=found, caller=self.caller)

    def authenticate_client(
        self, request: OAuth2Request, methods: Collection[str], endpoint: str = "token"
    ) -> KnownClient:
        """The client that proves itself by id and secret, in one of two ways. Raises `OAuth2Error`."""
        client_id, secret = self._credentials(request)
        self.client = clients.find(self.session, client_id)
        try:
            if self.client is not None and not secret:
                raise Refused(401, "Invalid client credentials: the client secret is wrong.", "There is no secret.")
            known = enabled(self.client)
            self._secret = usable_secret(known, secret, now=self.now)
        except Refused as fault:
            raise self.refusal(fault) from None
        proven = KnownClient(client=known)
        request.client = proven
        return proven

    def generate_token(
        self,
        grant_type: str,
        client: ClientMixin,
        user: object = None,
        scope: str | None = None,
        expires_in: int | None = None,
        include_refresh_token: bool = True,  # noqa: FBT001, FBT002  Authlib's
    ) -> "Unspoken":
        """New tokens, 256 bits each, for what of the scope is still enabled. Raises `OAuth2Error` for nothing."""
        allowed = client.get_allowed_scope(scope or "")
        if not allowed:
            self.reason = "Nothing of what the person allowed is enabled for the client any more."
            raise InvalidScopeError
        told = Unspoken(
            token_type="Bearer",
            access_token=secrets.token_urlsafe(32),
            expires_in=int(self.access_lifetime),
            scope=allowed,
        )
        if include_refresh_token:
            told["refresh_token"] = secrets.token_urlsafe(32)
        return told

    def save_token(self, token: Mapping[str, str | int], request: OAuth2Request) -> None:
        """Keep the digests of what is about to be told."""
        grant, scope, access = grant_of(request), str(token["scope"]), str(token["access_token"])
        grants.issue(self.session, grant, "access", access, scope=scope, lifetime=self.access_lifetime, now=self.now)
        if refresh := token.get("refresh_token"):
            # A narrower scope is for this access token only (RFC 6749, section 6).
            used = request.refresh_token
            whole = used.token.scope if isinstance(used, HeldToken) else scope
            grants.issue(
                self.session,
                grant,
                "refresh",
                str(refresh),
                scope=whole,
                lifetime=grants.REFRESH_LIFETIME,
                now=self.now,
            )

    def create_oauth2_request(self, request: OAuth2Request) -> OAuth2Request:
        """It is one already."""
        return request

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Nobody listens."""

    def handle_response(  # type: ignore[override]  # the stubs want a mapping of headers; Authlib has pairs
        self, status: int, body: object, headers: Sequence[tuple[str, str]]
    ) -> Response:
        """A Flask response; of `body` a mapping becomes JSON."""
        text = json.dumps(body) if isinstance(body, dict) else str(body)
        return Response(text, status, headers=Headers(headers))

    def handle_error_response(self, request: OAuth2Request, error: OAuth2Error) -> Response:
        """The error as JSON, with its reason for the log."""
        if isinstance(error, UnsupportedGrantTypeError):  # its own description quotes the request
            error = OAuth2Error("Only authorization_code and refresh_token can be redeemed.", error=error.error)
        self.reason = self.reason or f"{error.error}: {error.get_error_description() or 'no more is said.'}"
        return self.handle_response(*error())

    # --- what the routes, the grants and the API log ask for ---

    def redeem(self, request: Request) -> Response:
        """The answer of the token endpoint."""
        answer: object = self.create_token_response(request)
        return cast("Response", answer)  # `handle_response` made it

    def answer_about(self, endpoint: str, request: Request) -> Response:
        """The answer of an endpoint that Authlib knows by this name."""
        answer: object = self.create_endpoint_response(endpoint, request)  # type: ignore[no-untyped-call]  # Authlib's
        return cast("Response", answer)

    def judge_request(self, request: Request) -> None:
        """Authlib's own checks of an authorization request, and PKCE. Raises `OAuth2Error`."""
        self.get_consent_grant(request)  # type: ignore[no-untyped-call]  # Authlib's

    def claimed_client(self, request: OAuth2Request) -> Client | None:
        """The client that a request says it is of, proven or not."""
        try:
            client_id, _ = self._credentials(request)
        except OAuth2Error:
            return None
        return clients.find(self.session, client_id)

    @property
    def proven_client(self) -> Client:
        """The client that has just been authenticated."""
        if self.client is None or self._secret is None:
            raise TypeError("No client has been authenticated.")
        return self.client

    def check_caller(self, grant: Grant) -> None:
        """Raise `OAuth2Error` unless the authenticated client may log people in for the domain of the grant."""
        self.domain = grant.domain
        if self._secret is None:
            raise TypeError("No client has been authenticated.")
        try:
            check_domain(grant.domain, self._secret, self._ip, purpose="login")
        except Refused as fault:
            raise self.refusal(fault) from None

    def refusal(self, fault: Refused) -> OAuth2Error:
        """What the sign-token API would refuse, as OAuth says it."""
        self.reason = fault.reason
        if fault.status == 401:
            return InvalidClientError(fault.message, status_code=401)
        return UnauthorizedClientError(fault.message)

    def _credentials(self, request: OAuth2Request) -> tuple[str, str]:
        """Client ID and secret, from the Authorization header or from the form; two ways at once are one too many."""
        header, form = (request.headers or {}).get("Authorization"), request.form
        if header is None:
            return form.get("client_id", ""), form.get("client_secret", "")
        said = Authorization.from_header(header)
        if said is None or said.type != "basic" or said.username is None:
            self.reason = "The Authorization header is not Basic with a client ID and a secret."
            raise InvalidClientError("The Authorization header cannot be used.", status_code=401)
        # RFC 6749, section 2.3.1: both are form-encoded before they are joined.
        client_id, secret = unquote_plus(said.username), unquote_plus(said.password or "")
        if "client_secret" in form or form.get("client_id", client_id) != client_id:
            self.reason = "The client authenticates in the header and in the body: it has to be one of them."
            raise OAuth2Error("The client may authenticate in one way only.", error="invalid_request")
        return client_id, secret


def once(parameters: "MultiDict[str, str]") -> str:
    """A sentence where a parameter is there more than once; "" where each is there once.

    RFC 6749, sections 3.1 and 3.2, forbids it: of two values, two readers could take one each.
    """
    twice = any(len(values) > 1 for values in parameters.to_dict(flat=False).values())
    return "A parameter was sent more than once." if twice else ""
