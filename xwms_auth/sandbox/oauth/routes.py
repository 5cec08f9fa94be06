"""The routes of OAuth: those for apps, which are always logged, and those for browsers."""

from collections.abc import Callable
from typing import Final

from flask import Blueprint, Response, jsonify, request

from xwms_auth.sandbox.domain import signing
from xwms_auth.sandbox.faults.injection import instead_of_the_call, with_fault
from xwms_auth.sandbox.oauth import authorize, metadata
from xwms_auth.sandbox.oauth.grant_types import invalid
from xwms_auth.sandbox.oauth.logout import log_out
from xwms_auth.sandbox.oauth.provider import Provider, note
from xwms_auth.sandbox.oauth.server import Request, Server, once
from xwms_auth.sandbox.oauth.token_endpoints import userinfo
from xwms_auth.sandbox.web.responses import OAUTH_METADATA

_Perform = Callable[[Server, Request], Response]


class OAuth:
    """The endpoints of one provider."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def blueprint(self) -> Blueprint:
        """The routes below /oauth/, and both discovery documents."""
        routes = Blueprint("oauth", __name__)
        for path, perform in _CALLS.items():
            methods = ["GET", "POST"] if path == metadata.USERINFO else ["POST"]
            name = path.rpartition("/")[2]
            routes.add_url_rule(path, endpoint=name, view_func=self._logged(path, perform), methods=methods)
        for number, path in enumerate(OAUTH_METADATA):
            routes.add_url_rule(path, endpoint=f"discovery_{number}", view_func=self._discovery, methods=["GET"])
        routes.add_url_rule(metadata.JWKS, endpoint="jwks", view_func=self._jwks, methods=["GET"])
        for path, view, methods in (
            (metadata.AUTHORIZE, authorize.authorize, ["GET", "POST"]),
            (f"{metadata.SIGN_IN}/<token>", authorize.show, ["GET"]),
            (f"{metadata.SIGN_IN}/<token>", authorize.choose, ["POST"]),
            (metadata.LOGOUT, log_out, ["GET", "POST"]),
        ):
            routes.add_url_rule(path, endpoint=view.__name__, view_func=self._bound(view), methods=methods)
        routes.after_request(self._log_replaced_call)
        return routes

    def _bound(self, view: Callable[..., Response]) -> Callable[..., Response]:
        def bound(**parts: str) -> Response:
            return view(self._provider, **parts)

        return bound

    def _logged(self, path: str, perform: _Perform) -> Callable[[], Response]:
        endpoint = path.removeprefix("/")

        def view() -> Response:
            form = request.form  # before the unit of work, in which a slow sender would block all other requests
            problem = once(form)
            with self._provider.database.work() as session:
                server = self._provider.server(session)
                oauth = Request(request.method, form, request.headers)
                response = server.handle_error_response(oauth, invalid(problem)) if problem else perform(server, oauth)
                server.client = server.client or server.claimed_client(oauth)
                note(server, endpoint=endpoint, status=response.status_code, reason=with_fault(server.reason))
            return response

        return view

    def _log_replaced_call(self, response: Response) -> Response:
        """Log a call that a fault has replaced; `_logged` logs all others."""
        reason, path = instead_of_the_call(), str(request.url_rule)
        if reason and path in _CALLS:
            with self._provider.database.work() as session:
                server = self._provider.server(session)
                server.client = server.claimed_client(Request(request.method, request.form, request.headers))
                note(server, endpoint=path.removeprefix("/"), status=response.status_code, reason=reason)
        return response

    def _discovery(self) -> Response:
        return jsonify(metadata.document(self._provider.issuer, public_url=self._provider.public_url))

    def _jwks(self) -> Response:
        with self._provider.database.work() as session:
            return jsonify(signing.public_keys(session, now=self._provider.clock()))


_CALLS: Final[dict[str, _Perform]] = {
    metadata.TOKEN: lambda server, oauth: server.redeem(oauth),
    metadata.REVOKE: lambda server, oauth: server.call_endpoint("revocation", oauth),
    metadata.INTROSPECT: lambda server, oauth: server.call_endpoint("introspection", oauth),
    metadata.USERINFO: lambda server, oauth: userinfo(server, oauth, ip=request.remote_addr),
}
