"""Debian's glewlwyd, which is set up by its own API, and whose login page is a program: a person uses that API too."""

import gzip
import sqlite3
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.matrix.environments import CannotBeHad, tool

_SCHEMA = Path("/usr/share/doc/glewlwyd/database/init.sqlite3.sql.gz")
_MODULES = Path("/usr/lib/glewlwyd")
_SCOPES = ("openid", "profile", "email", "offline_access")


def command(port: int, folder: Path) -> list[str]:
    """The command that starts it, with a database of its own. Raises `CannotBeHad`."""
    program = tool("glewlwyd")
    if not _SCHEMA.exists():
        raise CannotBeHad(f"{_SCHEMA} is missing: dpkg was told to leave out documentation")
    database = folder / "glewlwyd.sqlite3"
    with sqlite3.connect(database) as connection:
        connection.executescript(gzip.decompress(_SCHEMA.read_bytes()).decode())
    settings = {
        "port": port, "bind_address": "127.0.0.1", "external_url": f"http://127.0.0.1:{port}",
        "login_url": "login.html", "api_prefix": "api", "log_mode": "console", "log_level": "WARNING",
        "cookie_secure": 0, "session_key": "GLEWLWYD2_SESSION_ID", "admin_scope": "g_admin",
        "profile_scope": "g_profile", "hash_algorithm": "SHA512", "user_module_path": f"{_MODULES}/user",
        "client_module_path": f"{_MODULES}/client", "user_auth_scheme_module_path": f"{_MODULES}/scheme",
        "plugin_module_path": f"{_MODULES}/plugin",
    }  # fmt: skip
    lines = [f"{name}={value}" if isinstance(value, int) else f'{name}="{value}"' for name, value in settings.items()]
    lines.append(f'database = {{ type = "sqlite3" path = "{database}" }};')
    (folder / "glewlwyd.conf").write_text("\n".join(lines) + "\n")
    return [program, "-c", str(folder / "glewlwyd.conf")]


def set_up(origin: str, client: dict[str, object], lifetime: int) -> None:
    """Its administrator adds the OpenID plugin, a person and the client."""
    key = rsa.generate_private_key(65537, 2048)
    plugin = {
        "iss": origin, "jwt-type": "rsa", "jwt-key-size": "256", "subject-type": "public",
        "key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        "cert": key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        "code-duration": 60, "access-token-duration": lifetime, "refresh-token-duration": 3600,
        "refresh-token-rolling": True, "refresh-token-one-use": "always", "session-cookie-expiration": 3600,
        "auth-type-code-enabled": True, "auth-type-refresh-enabled": True, "pkce-allowed": True,
        "introspection-revocation-allowed": True, "introspection-revocation-allow-target-client": True,
        "session-management-allowed": True, "back-channel-logout-allowed": True, "oauth-as-iss-id": True,
        "jwks-show": True, "session-cookie-name": "GLEWLWYD2_OIDC_SID", "allow-non-oidc": False,
        "name-claim": "on-demand", "name-claim-scope": ["profile"],
        "email-claim": "on-demand", "email-claim-scope": ["email"],
    }  # fmt: skip
    known = {
        "client_id": client["client_id"], "client_secret": client["client_secret"], "name": "Support desk",
        "confidential": True, "enabled": True, "scope": [], "redirect_uri": client["redirect_uris"],
        "authorization_type": ["code", "refresh_token"], "token_endpoint_auth_method": ["client_secret_basic"],
        "post_logout_redirect_uri": "".join(client["post_logout_redirect_uris"]),  # type: ignore[arg-type]
        "backchannel_logout_uri": client["backchannel_logout_uri"], "backchannel_logout_session_required": "true",
    }  # fmt: skip
    ada = {"username": "ada", "name": "Name of ada", "email": "ada@example.org", "password": "a-password"}
    scope = {"password_required": True, "scheme": {}}
    with httpx2.Client(base_url=f"{origin}/api") as admin:
        _done(admin.post("/auth/", json={"username": "admin", "password": "password"}))
        _done(
            admin.post(
                "/mod/plugin/", json={"module": "oidc", "name": "oidc", "display_name": "", "parameters": plugin}
            )
        )
        for name in _SCOPES[1:]:
            _done(admin.post("/scope/", json={"name": name, "display_name": name, **scope}))
        _done(admin.post("/user/", json={**ada, "enabled": True, "scope": ["g_profile", *_SCOPES]}))
        _done(admin.post("/client/", json=known))


def sign_in(origin: str, client_id: str, person: httpx2.Client) -> None:
    """What its login page does when ada types her password and grants the scopes."""
    _done(person.post(f"{origin}/api/auth/", json={"username": "ada", "password": "a-password"}))
    _done(person.put(f"{origin}/api/auth/grant/{client_id}/", json={"scope": " ".join(_SCOPES)}))


def detour(person: httpx2.Client, location: str) -> str:
    """Where its login page sends a person who has signed in, granted, or agreed to be logged out; "" if not there."""
    parts = urlsplit(location)
    if not parts.path.endswith("/login.html"):
        return ""
    asked = dict(parse_qsl(parts.query))
    if asked.get("prompt") == "end_session":
        _done(person.delete(f"{parts.scheme}://{parts.netloc}/api/oidc/session/{asked.get('sid', '')}/"))
        assert "callback_url" in asked, "it sends nobody back from a logout"
        return asked["callback_url"]
    callback = urlsplit(asked["callback_url"])
    query = [(name, value) for name, value in parse_qsl(callback.query) if name != "prompt"]
    return callback._replace(query=urlencode([*query, ("g_continue", "")])).geturl()


def _done(answer: httpx2.Response) -> None:
    assert answer.status_code == 200, f"glewlwyd answered {answer.status_code}: {answer.text}"
