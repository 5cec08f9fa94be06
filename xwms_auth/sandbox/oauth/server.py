"""The authorization server: Authlib's, created for one request and one unit of work.

Client authentication uses the sandbox's own checks, so that OAuth and the sign-token API refuse the same calls: a 401
of the API is `invalid_client` here, and a 403 is `unauthorized_client`.
"""
# pyright: reportUnknownMemberType=false, reportUnknownParameterType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingParameterType=false, reportIncompatibleMethodOverride=false
# pyright: reportIncompatibleVariableOverride=false
# Authlib is only partly typed, and the types of its server are for any framework.

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
from xwms_auth.sandbox.oauth.authlib_models import HeldToken, KnownClient, grant_of

AUTH_METHODS: Final = ("client_secret_basic", "client_secret_post")
REALM: Final = "XWMS"


class Payload(OAuth2Payload):
    """The parameters of a request, from its query or from its form, never from both."""

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
    """A request for Authlib. Authlib's own for Flask merges query and form, and refuses plain http."""

    payload: Payload
    headers: Mapping[str, str]

    def __init__(self, method: str, parameters: "MultiDict[str, str]", headers: Headers) -> None:
        # Authlib requires https, but this server may also be used over http, for instance from a container.
        super().__init__(method, "https://sandbox.invalid/", headers=dict(headers))
        self.payload = Payload(parameters)

    @property
    def args(self) -> dict[str, str | None]:
        """The parameters."""
        return dict(self.payload.data)

    @property
    def form(self) -> dict[str, str]:
        """The same parameters."""
        return self.payload.data


class TokenResponse(dict[str, str | int]):
    """A token response whose repr hides the tokens, since Authlib logs it at DEBUG."""

    def __repr__(self) -> str:
        return "<tokens>"


class Server(AuthorizationServer):
    """Authlib's server with the sandbox's data. `reason`, `client` and `domain` are for the API log afterwards.

    `caller` is the client at the authorization endpoint, where it is not authenticated.
    ip: the IP address of the sender. access_lifetime: seconds.
    """

    def __init__(
        self, session: Session, *, now: float, issuer: str, public_url: str, access_lifetime: float, ip: str | None
    ) -> None:
        super().__init__()
        self.session = session
        self.now = now
        self.issuer = issuer
        self.public_url = public_url
        self.access_lifetime = access_lifetime
        self.reason = ""
        self.client: Client | None = None
        self.domain: Domain | None = None
        self.caller: Caller | None = None
        self._ip = ip
        self._secret: ClientSecret | None = None

    # --- called by Authlib ---

    def query_client(self, client_id: str) -> KnownClient:
        """The client with this id. Raises `OAuth2Error`."""
        found = clients.find(self.session, client_id)
        if found is None:
            raise InvalidClientError("The client ID is not known.")
        return KnownClient(client=found, caller=self.caller)

    def authenticate_client(
        self, request: OAuth2Request, methods: Collection[str], endpoint: str = "token"
    ) -> KnownClient:
        """The client, authenticated by id and secret in one of two ways. Raises `OAuth2Error`."""
        client_id, secret = self._credentials(request)
        self.client = clients.find(self.session, client_id)
        try:
            if self.client is not None and not secret:
                raise Refused(401, "Invalid client credentials: the client secret is wrong.", "There is no secret.")
            known = enabled(self.client)
            self._secret = usable_secret(known, secret, now=self.now)
        except Refused as refused:
            raise self.refusal(refused) from None
        authenticated = KnownClient(client=known)
        request.client = authenticated
        return authenticated

    def generate_token(
        self,
        grant_type: str,
        client: ClientMixin,
        user: object = None,
        scope: str | None = None,
        expires_in: int | None = None,
        include_refresh_token: bool = True,  # noqa: FBT001, FBT002  Authlib's
    ) -> "TokenResponse":
        """New tokens, 256 bits each, for the scope that is still enabled. Raises `OAuth2Error` if it is empty."""
        allowed = client.get_allowed_scope(scope or "")
        if not allowed:
            self.reason = "None of the granted scopes is still enabled for the client."
            raise InvalidScopeError
        tokens = TokenResponse(
            token_type="Bearer",
            access_token=secrets.token_urlsafe(32),
            expires_in=int(self.access_lifetime),
            scope=allowed,
        )
        if include_refresh_token:
            tokens["refresh_token"] = secrets.token_urlsafe(32)
        return tokens

    def save_token(self, token: Mapping[str, str | int], request: OAuth2Request) -> None:
        """Save the digests of the new tokens."""
        grant, scope, access = grant_of(request), str(token["scope"]), str(token["access_token"])
        grants.issue(self.session, grant, "access", access, scope=scope, lifetime=self.access_lifetime, now=self.now)
        if refresh := token.get("refresh_token"):
            # A narrower scope applies to this access token only (RFC 6749, section 6).
            used = request.refresh_token
            refresh_scope = used.token.scope if isinstance(used, HeldToken) else scope
            grants.issue(
                self.session,
                grant,
                "refresh",
                str(refresh),
                scope=refresh_scope,
                lifetime=grants.REFRESH_LIFETIME,
                now=self.now,
            )

    def create_oauth2_request(self, request: OAuth2Request) -> OAuth2Request:
        """Returns the request, which has the right type."""
        return request

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Does nothing: there are no signal handlers."""

    def handle_response(  # type: ignore[override]  # the stubs require a mapping of headers; Authlib passes pairs
        self, status: int, body: object, headers: Sequence[tuple[str, str]]
    ) -> Response:
        """A Flask response; a mapping as `body` becomes JSON."""
        text = json.dumps(body) if isinstance(body, dict) else str(body)
        response = Response(text, status, headers=Headers(headers))
        challenge = response.headers.get("WWW-Authenticate", "")
        if challenge.startswith("Basic ") and "realm=" not in challenge:
            # RFC 7617 2 requires the realm, which Authlib leaves out.
            response.headers["WWW-Authenticate"] = f'Basic realm="{REALM}", {challenge.removeprefix("Basic ")}'
        return response

    def handle_error_response(self, request: OAuth2Request, error: OAuth2Error) -> Response:
        """The error as JSON, with its reason for the log."""
        if isinstance(error, UnsupportedGrantTypeError):  # its own description quotes the request
            error = OAuth2Error("The only grant types are authorization_code and refresh_token.", error=error.error)
        self.reason = self.reason or f"{error.error}: {error.get_error_description() or 'without a description.'}"
        return self.handle_response(*error())

    # --- called by the routes, the grant types and the API log ---

    def redeem(self, request: Request) -> Response:
        """The response of the token endpoint."""
        response: object = self.create_token_response(request)
        return cast("Response", response)  # from `handle_response`

    def call_endpoint(self, endpoint: str, request: Request) -> Response:
        """The response of an endpoint that is registered with Authlib."""
        response: object = self.create_endpoint_response(endpoint, request)  # type: ignore[no-untyped-call]  # Authlib's
        return cast("Response", response)

    def check_authorization_request(self, request: Request) -> None:
        """Authlib's own checks of an authorization request, and PKCE. Raises `OAuth2Error`."""
        self.get_consent_grant(request)  # type: ignore[no-untyped-call]  # Authlib's

    def claimed_client(self, request: OAuth2Request) -> Client | None:
        """The client that the request names, authenticated or not."""
        try:
            client_id, _ = self._credentials(request)
        except OAuth2Error:
            return None
        return clients.find(self.session, client_id)

    @property
    def authenticated_client(self) -> Client:
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
        except Refused as refused:
            raise self.refusal(refused) from None

    def refusal(self, refused: Refused) -> OAuth2Error:
        """A refusal of the sign-token API as an OAuth error."""
        self.reason = refused.reason
        if refused.status == 401:
            return InvalidClientError(refused.message, status_code=401)
        return UnauthorizedClientError(refused.message)

    def _credentials(self, request: OAuth2Request) -> tuple[str, str]:
        """Client ID and secret, from the Authorization header or from the form, but not from both."""
        header, form = (request.headers or {}).get("Authorization"), request.form
        if header is None:
            return form.get("client_id", ""), form.get("client_secret", "")
        basic = Authorization.from_header(header)
        if basic is None or basic.type != "basic" or basic.username is None:
            self.reason = "The Authorization header is not Basic with a client ID and a secret."
            raise InvalidClientError("The Authorization header is not valid.", status_code=401)
        # RFC 6749, section 2.3.1: both are form-encoded before they are joined.
        client_id, secret = unquote_plus(basic.username), unquote_plus(basic.password or "")
        if "client_secret" in form or form.get("client_id", client_id) != client_id:
            self.reason = "The client authenticates both in the header and in the body: only one is allowed."
            raise OAuth2Error("The client may authenticate in one way only.", error="invalid_request")
        return client_id, secret


def once(parameters: "MultiDict[str, str]") -> str:
    """The error message if a parameter was sent more than once; "" otherwise.

    Parameter pollution: RFC 6749, sections 3.1 and 3.2, forbids it, since two readers could use different values.
    """
    repeated = any(len(values) > 1 for values in parameters.to_dict(flat=False).values())
    return "A parameter was sent more than once." if repeated else ""
