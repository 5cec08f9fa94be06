"""APIs that take access tokens, of ours and of others, and the server whose tokens they are.

The others are what people write with PyJWT and with joserfc: the public key as an object, and the same checks (typ, key
id, algorithm, issuer, audience, exp, nbf, iat, sub, client_id, scope).
"""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Annotated, Any

import fastapi
import flask
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

import xwms_auth.fastapi
import xwms_auth.flask
import xwms_auth.starlette
from tests.oauth2.jwts import Key, make_key, signed
from xwms_auth import XWMSConfig

from .calls import HOST
from .subjects import KEY, SUB

AUDIENCE = "https://api.example"
OPAQUE = "2YotnFZFEjr1zCsicMWpAA-0123456789abcdefghij"
JUNK = "2YotnFZFEjr1zCsicMWpAA-junk"
KEYS = {"RS256": make_key("RS256", kid="rsa"), "ES256": make_key("ES256", kid="ec")}
FORGING_KEY = Key("RS256", make_key("RS256", another=1).private, KEYS["RS256"].jwk)
"""Another key, under the id of the server's own."""

TEXTS = ("sub", "client_id", "scope")


def claims_of(issuer: str) -> dict[str, object]:
    now = int(time.time())
    return {
        "iss": issuer,
        "aud": AUDIENCE,
        "sub": SUB,
        "client_id": "another-app",
        "scope": "read write",
        "iat": now,
        "exp": now + 7200,
        "jti": uuid.uuid4().hex,
    }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer({"keys": [key.jwk for key in KEYS.values()]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer({"active": True, "token_type": "Bearer", **claims_of(self.server.issuer)})  # type: ignore[attr-defined]

    def _answer(self, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the parent's name
        """Log nothing."""


@contextmanager
def authorization_server() -> Iterator[str]:
    """Run a server for keys and introspection; yield its issuer."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    issuer = server.issuer = f"http://127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def config_for(issuer: str, validation: str) -> XWMSConfig:
    return XWMSConfig(
        client_id="benchmark",
        client_secret="benchmark-secret",
        redirect_uris=f"https://{HOST}/xwms/validateToken",
        session_secret=KEY,
        flow="oauth2",
        issuer=issuer,
        token_validation=validation,  # type: ignore[arg-type]
        audience=AUDIENCE,
        authorization_endpoint=f"{issuer}/authorize",
        token_endpoint=f"{issuer}/token",
        introspection_endpoint=f"{issuer}/introspect",
        jwks_uri=f"{issuer}/keys",
    )


def our_starlette(config: XWMSConfig) -> Any:
    @xwms_auth.starlette.token_required
    async def who(request: Request) -> Response:
        return PlainTextResponse(request.auth.token.sub)

    return xwms_auth.starlette.XWMSAuthMiddleware(Starlette(routes=[Route("/who", who)]), config)


def our_fastapi(config: XWMSConfig) -> Any:
    app = fastapi.FastAPI()

    @app.get("/who")
    async def who(token: xwms_auth.fastapi.BearerToken) -> str:
        return str(token.sub)

    return xwms_auth.fastapi.XWMSAuthMiddleware(app, config)


def our_flask(config: XWMSConfig) -> Any:
    app = flask.Flask("ours")

    @app.get("/who")
    @xwms_auth.flask.token_required
    def who() -> str:
        return str(xwms_auth.flask.current_token.sub)

    xwms_auth.flask.XWMSAuth(app, config)
    return app


class Refused(Exception):
    """The token is refused."""


Check = Callable[[str], dict[str, Any]]
"""Returns the claims of a valid token. Raises `Refused`."""


def with_pyjwt(issuer: str, algorithm: str) -> Check:
    import jwt  # noqa: PLC0415  only where it is installed

    key, kid = KEYS[algorithm].private.public_key(), KEYS[algorithm].jwk["kid"]
    required = {"require": ["exp", "iat", "sub", "aud", "iss"]}

    def check(token: str) -> dict[str, Any]:
        try:
            decoded = jwt.decode_complete(
                token, key, algorithms=[algorithm], audience=AUDIENCE, issuer=issuer, options=required
            )
        except jwt.PyJWTError:
            raise Refused from None
        if decoded["header"].get("typ") != "at+jwt" or decoded["header"].get("kid") != kid:
            raise Refused
        return _with_texts(decoded["payload"])

    return check


def with_joserfc(issuer: str, algorithm: str) -> Check:
    from joserfc import jwt  # noqa: PLC0415
    from joserfc.errors import JoseError  # noqa: PLC0415
    from joserfc.jwk import KeySet  # noqa: PLC0415

    keys = KeySet.import_key_set({"keys": [key.jwk for key in KEYS.values()]})
    rules = {name: {"essential": True} for name in ("exp", "iat", "sub")}
    rules |= {"iss": {"essential": True, "value": issuer}, "aud": {"essential": True, "value": AUDIENCE}}
    registry = jwt.JWTClaimsRegistry(**rules)  # type: ignore[arg-type]

    def check(token: str) -> dict[str, Any]:
        try:
            decoded = jwt.decode(token, keys, algorithms=[algorithm])
            if decoded.header.get("typ") != "at+jwt":
                raise Refused
            registry.validate(decoded.claims)
        except (JoseError, ValueError):
            raise Refused from None
        return _with_texts(decoded.claims)

    return check


def _with_texts(claims: dict[str, Any]) -> dict[str, Any]:
    if not all(isinstance(claims.get(name), str) for name in TEXTS):
        raise Refused
    return claims


REFUSAL = {"WWW-Authenticate": 'Bearer error="invalid_token"'}


def their_starlette(check: Check) -> Any:
    async def who(request: Request) -> Response:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        try:
            if kind.lower() != "bearer":
                raise Refused
            return PlainTextResponse(check(token)["sub"])
        except Refused:
            return PlainTextResponse("", 401, REFUSAL)

    return Starlette(routes=[Route("/who", who)])


def their_fastapi(check: Check) -> Any:
    from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer  # noqa: PLC0415

    app = fastapi.FastAPI()

    async def claims(found: Annotated[HTTPAuthorizationCredentials, fastapi.Depends(HTTPBearer())]) -> dict[str, Any]:
        try:
            return check(found.credentials)
        except Refused:
            raise fastapi.HTTPException(401, headers=REFUSAL) from None

    @app.get("/who")
    async def who(claims: Annotated[dict[str, Any], fastapi.Depends(claims)]) -> str:
        return str(claims["sub"])

    return app


def their_flask(check: Check) -> Any:
    app = flask.Flask("theirs")

    def guarded(view: Callable[[], str]) -> Callable[[], Any]:
        @wraps(view)
        def checked() -> Any:
            kind, _, token = flask.request.headers.get("Authorization", "").partition(" ")
            try:
                if kind.lower() != "bearer":
                    raise Refused
                flask.g.claims = check(token)
            except Refused:
                return flask.Response("", 401, REFUSAL)
            return view()

        return checked

    app.add_url_rule("/who", "who", guarded(lambda: str(flask.g.claims["sub"])))
    return app


def bare_fastapi() -> Any:
    app = fastapi.FastAPI()

    @app.get("/who")
    async def who() -> str:
        return SUB

    return app


def bare_starlette() -> Any:
    async def who(request: Request) -> Response:
        return PlainTextResponse(SUB)

    return Starlette(routes=[Route("/who", who)])


def bare_flask() -> Any:
    app = flask.Flask("bare")
    app.add_url_rule("/who", "who", lambda: SUB)
    return app


MAKERS: dict[str, tuple[Callable[[], Any], Callable[[XWMSConfig], Any], Callable[[Check], Any]]] = {
    "Starlette": (bare_starlette, our_starlette, their_starlette),
    "FastAPI": (bare_fastapi, our_fastapi, their_fastapi),
    "Flask": (bare_flask, our_flask, their_flask),
}
"""The application without a guard, ours, and theirs."""


def tokens(key: Key, issuer: str) -> Iterator[str]:
    """Headers with new tokens, for each request another one."""
    while True:
        yield f"Bearer {signed(key, claims_of(issuer), typ='at+jwt')}"
