"""Hints for developers about an error: what is wrong, and what to change in the XWMS dashboard or the settings.

Values that can be copied are between backticks, which pages render as code. No hint ever contains a secret, a token, a
cookie or a claim. The caller decides whether to show them (debug mode).
"""

import re

from ...base.errors import (
    BadAnswer,
    ClientDisabled,
    ConfigError,
    CredentialsRejected,
    HostNotRegistered,
    LoginExpired,
    LoginNotStarted,
    MethodNotAllowed,
    NotApproved,
    RedirectNotRegistered,
    StoreUnavailable,
    Timeout,
    TokenRejected,
    Unreachable,
    XWMSError,
)
from ...base.models import Secret
from ...base.secret_in_response import SecretInResponse
from ...config.config import XWMSConfig
from ...config.secret_sources import SecretFromFile
from ...http.messages import Request
from ...http.urls import RedirectURI
from .hint_text import code, plain
from .oauth2_hints import oauth2_hints

_CLIENT = "Dashboard > Clients > (your client)"
_SETTING = re.compile(r"\bXWMS_[A-Z0-9_]*[A-Z0-9](?:=\w+)?|(?<!\S)--[a-z]+(?:-[a-z]+)*")
_LEAK = "The response had a secret in it. Take it out; if others could see it before, replace the secret."
_MAX_SHOWN = 400
"""Characters shown of a text that others may control, such as a Host header."""


def hints_for(error: XWMSError, config: XWMSConfig, request: Request) -> tuple[str, ...]:
    """Return sentences for the site's developer, the most useful first; none if no setting can fix the error.

    For debug mode only: they name the client id, the domain, the redirect URIs and the API URL.
    """
    uri = _uri_in_use(config, request)
    hints = oauth2_hints(error, config, uri, path=request.path) if config.flow == "oauth2" else []
    hints = hints or _hints(error, config, request)
    if hints and error.cause and not isinstance(error, ConfigError):
        hints.append(f"Cause: {plain(error.cause[:_MAX_SHOWN])}")
    return tuple(_with_settings_ascode(hint) for hint in hints)


def _with_settings_ascode(hint: str) -> str:
    """Return the hint with every setting and option of a command between backticks, where it is not yet."""
    pieces = hint.split("`")
    pieces[::2] = [_SETTING.sub(r"`\g<0>`", piece) for piece in pieces[::2]]
    return "`".join(pieces)


def _hints(error: XWMSError, config: XWMSConfig, request: Request) -> list[str]:
    match error:
        case RedirectNotRegistered():
            return [*_redirect_uri(config, _uri_in_use(config, request)), *_dashboard(config)]
        case CredentialsRejected():
            return [*_credentials(config), *_dashboard(config)]
        case ClientDisabled():
            disabled = f"XWMS reports that the client {code(config.client_id)} is disabled."
            return [f"{disabled} {_CLIENT}: enable it.", *_dashboard(config)]
        case NotApproved():
            return [
                f"{_CLIENT} > Scopes: the client must have the scope, and the user approves it at the next login.",
                *_dashboard(config),
            ]
        case Unreachable() | Timeout():
            return _unreachable(error, config)
        case BadAnswer():
            return _bad_answer(config)
        case ConfigError():
            return [plain(problem) for problem in error.problems]
        case TokenRejected():
            return _token(config)
        case LoginNotStarted() | LoginExpired():
            return _other_browser(error, config, request)
        case HostNotRegistered():
            return [*_hosts(config, request), *_dashboard(config)]
        case StoreUnavailable():
            return _store(config)
        case _:
            return _of_pages(error, config, request)


def _of_pages(error: XWMSError, config: XWMSConfig, request: Request) -> list[str]:
    """What to change in the application's own pages; no setting can."""
    if isinstance(error, SecretInResponse):
        return [_LEAK]
    if not isinstance(error, MethodNotAllowed) or request.path != config.logout_path:
        return []
    form = f'<form method="post" action="{plain(config.logout_path)}"><button>Log out</button></form>'
    return [f"Logging out changes something, so no link does it: `xwms_logout_form()` in a template, or {code(form)}"]


def _store(config: XWMSConfig) -> list[str]:
    store = config.revocation_store or config.session_store
    if not isinstance(store, str | Secret):
        return [f"Your own session store, {code(type(store).__name__)}, cannot be reached."]
    option = (
        "XWMS_REVOCATION_STORE (`revocation_store`)"
        if config.revocation_store
        else "XWMS_SESSION_STORE (`session_store`)"
    )
    # Only the URL scheme: the rest may hold a password.
    return [f"{option} is of the kind {code(Secret(store).reveal().partition(':')[0])}: is it running and reachable?"]


def _redirect_uri(config: XWMSConfig, uri: RedirectURI | None) -> list[str]:
    if uri is None:
        return []
    return [
        f"{_CLIENT} > Redirect URIs: add exactly {code(uri.uri)}, byte for byte, and make it active.",
        f"It comes from XWMS_REDIRECT_URI, and the client is {code(config.client_id)}: "
        "if another URI is registered there, change the setting instead.",
        *[f"For a local XWMS, start it with `xwms-auth sandbox --redirect-uri {plain(uri.uri)}`"] * config.api.loopback,
    ]


def _credentials(config: XWMSConfig) -> list[str]:
    local = [
        "A local XWMS has the client whose lines it printed at its start: copy them again, or start it with "
        "--client-id and --client-secret."
    ]
    source = config.secret_source
    fault = source.fault if isinstance(source, SecretFromFile) else ""
    return [
        f"XWMS rejects the client id {code(config.client_id)}, the domain {code(config.domain)}, or the secret.",
        *[f"{fault}, so that the secret before it was sent."] * bool(fault),
        *local * config.api.loopback,
        f"Dashboard > Clients: there must be a client with the id {code(config.client_id)}; "
        "otherwise set XWMS_CLIENT_ID.",
        f"{_CLIENT} > Secrets: the secret must be active, not expired, and linked to the domain.",
        "A regenerated secret must be put into XWMS_CLIENT_SECRET, or into the file of XWMS_CLIENT_SECRET_FILE; "
        "the one before it no longer works.",
        f"{_CLIENT} > Domains: {code(config.domain)} must be listed, active, allow login, and have this server's "
        "IP address in its list of server IPs, if it has one; otherwise set XWMS_DOMAIN, without https://.",
        f"{_CLIENT} > API log shows why a call was rejected.",
    ]


def _unreachable(error: XWMSError, config: XWMSConfig) -> list[str]:
    hints = [f"The XWMS API is at {code(config.api_url)}, from XWMS_API_URI. Is that correct?"]
    if config.api.loopback:
        hints.append(
            "That is this machine: is the sandbox running? "
            "`xwms-auth sandbox` starts it, and `xwms-auth dev MODULE:APP` starts it with the application."
        )
    else:
        hints.append(
            "Check that this machine can reach that host: network, DNS, firewall, certificates. "
            "Proxy settings in the environment are ignored."
        )
    if isinstance(error, Timeout):
        hints.append(f"A call may take {config.timeout_seconds:g} seconds, from XWMS_TIMEOUT.")
    return hints


def _bad_answer(config: XWMSConfig) -> list[str]:
    return [
        f"XWMS_API_URI is {code(config.api_url)}: it must be the URL of the API, not of a web page.",
        "If the cause is the URL of the login page, and you trust it, add its origin to XWMS_LOGIN_ORIGINS.",
    ]


def _token(config: XWMSConfig) -> list[str]:
    hints = [
        "A token works once and for a short time: reloading the callback, or going back to it, ends here too.",
        f"XWMS_CALLBACK_TOKEN (`callback_token`) is {code(config.callback_token)}.",
    ]
    if config.callback_token != "either":
        hints.append(
            "If every login ends here, that value is wrong for this XWMS: set it to `either`, log in, "
            "and the line `login_finished` in the log `xwms_auth` shows the right one."
        )
    return hints


def _other_browser(error: XWMSError, config: XWMSConfig, request: Request) -> list[str]:
    uri = _uri_in_use(config, request)
    if uri is None:
        return []
    is_same_host = _host(request).lower() in uri.host_names
    hints = [
        f"Open the site at {code(uri.origin)}, the origin of the redirect URI {code(uri.uri)}, and begin the login "
        "there: to a browser `localhost` and `127.0.0.1` are two hosts, and so are a name with and without www.",
        f"This request, the callback, is for the host {code(_host(request))}, which is "
        + (
            "the redirect URI's. It does not show where the login began."
            if is_same_host
            else f"not the redirect URI's, {code(uri.netloc)}."
        ),
    ]
    if isinstance(error, LoginExpired):
        hints.append("If it happens right away, compare the clocks of this machine and of XWMS.")
    else:
        hints.append(
            "If the login began there, check that the browser accepts cookies, "
            "and that every process has the same XWMS_SESSION_SECRET."
        )
        if uri.secure:
            hints.append("The redirect URI is https, so the cookie is Secure: the login must begin over https too.")
    return hints


def _hosts(config: XWMSConfig, request: Request) -> list[str]:
    listed = ", ".join(code(uri.uri) for uri in config.registered)
    return [
        f"This request is for the host {code(_host(request))}. XWMS_REDIRECT_URI has: {listed}.",
        "Open the site at a host of that list; a reverse proxy must pass the Host header on unchanged.",
        "If the host is yours, add a redirect URI on it to XWMS_REDIRECT_URI, "
        f"and the same in {_CLIENT} > Redirect URIs.",
    ]


def _dashboard(config: XWMSConfig) -> list[str]:
    """The location of the dashboard, if XWMS runs on this machine."""
    return [f"The dashboard of this local XWMS: {code(config.api.origin + '/dashboard')}"] * config.api.loopback


def _uri_in_use(config: XWMSConfig, request: Request) -> RedirectURI | None:
    """Return the redirect URI for this request: the only one, or the one on the requested host."""
    if len(config.registered) == 1:
        return config.registered[0]
    return next((uri for uri in config.registered if _host(request).lower() in uri.host_names), None)


def _host(request: Request) -> str:
    return (request.header("host") or "")[:_MAX_SHOWN]
