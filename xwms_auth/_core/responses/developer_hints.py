"""What a developer is told about a refusal: what is wrong, and what to change in the dashboard or in the settings.

Values that may be copied stand between backticks, which a page sets as code.

Knows: which page of the XWMS dashboard, or which setting, mends which error.
Must not: decide whether anybody may read it, or name a secret, a token, a cookie or a claim.
"""

from ..base.errors import (
    BadAnswer,
    ClientDisabled,
    ConfigError,
    CredentialsRejected,
    HostNotRegistered,
    LoginExpired,
    LoginNotStarted,
    NotApproved,
    RedirectNotRegistered,
    RequestRejected,
    StoreUnavailable,
    Timeout,
    TokenRejected,
    Unreachable,
    XWMSError,
)
from ..base.secrets import Secret
from ..config.config import XWMSConfig
from ..http.messages import Request
from ..http.urls import RedirectURI

_CLIENT = "Dashboard > Clients > (your client)"
_MAX_SHOWN = 400
"""Characters of a text that somebody else may have had a hand in, such as a Host header."""


def hints_for(error: XWMSError, config: XWMSConfig, request: Request) -> tuple[str, ...]:
    """Sentences for the developer of the site, the most useful first; none where there is nothing to change.

    For debug mode only: they name the client id, the domain, the redirect URIs and the API's address.
    """
    told = _oauth2(error, config, request) if config.flow == "oauth2" else []
    told = told or _what_to_change(error, config, request)
    if told and error.cause and not isinstance(error, ConfigError):
        told.append(f"Cause: {_plain(error.cause[:_MAX_SHOWN])}")
    return tuple(told)


def _what_to_change(error: XWMSError, config: XWMSConfig, request: Request) -> list[str]:
    match error:
        case RedirectNotRegistered():
            return [*_register(config, _uri_in_use(config, request)), *_dashboard(config)]
        case CredentialsRejected():
            return [*_credentials(config), *_dashboard(config)]
        case ClientDisabled():
            switched_off = f"XWMS says that the client {_code(config.client_id)} is switched off."
            return [f"{switched_off} {_CLIENT}: enable it.", *_dashboard(config)]
        case NotApproved():
            return [
                f"{_CLIENT} > Scopes: the client must have the scope, and the person approves it at the next login.",
                *_dashboard(config),
            ]
        case Unreachable() | Timeout():
            return _no_answer(error, config)
        case BadAnswer():
            return _bad_answer(config)
        case ConfigError():
            return [_plain(problem) for problem in error.problems]
        case TokenRejected():
            return _token(config)
        case LoginNotStarted() | LoginExpired():
            return _where_it_begins(error, config, request)
        case HostNotRegistered():
            return [*_hosts(config, request), *_dashboard(config)]
        case StoreUnavailable():
            return _store(config)
        case _:
            return []


def _store(config: XWMSConfig) -> list[str]:
    named = config.revocation_store or config.session_store
    if not isinstance(named, str | Secret):
        return [f"The session store of your own, {_code(type(named).__name__)}, cannot be reached."]
    option = (
        "XWMS_REVOCATION_STORE (revocation_store)" if config.revocation_store else "XWMS_SESSION_STORE (session_store)"
    )
    # The kind alone: the rest of the address may hold a password.
    return [f"{option} is of the kind {_code(Secret(named).reveal().partition(':')[0])}: is it running and reachable?"]


def _oauth2(error: XWMSError, config: XWMSConfig, request: Request) -> list[str]:
    """The same for OAuth 2.0, where it is not what sign-token's refusals mean; none where it is."""
    uri = _uri_in_use(config, request)
    registered = "the redirect URI" if uri is None else f"the redirect URI {_code(uri.uri)}"
    server = f"The authorization server is {_code(config.issuer)}, from XWMS_ISSUER."
    match error:
        case CredentialsRejected():
            return [
                f"{server} It refuses the client id {_code(config.client_id)}, or the secret.",
                "See whether XWMS_CLIENT_ID and XWMS_CLIENT_SECRET are of a client of this server, and not swapped.",
                f"XWMS_CLIENT_AUTH is {_code(config.client_auth)}: the client there must be set to the same.",
            ]
        case ClientDisabled():
            return [
                f"{server} It does not let the client {_code(config.client_id)} log people in: see whether it is "
                "enabled there, and has the grant `authorization_code`.",
            ]
        case RequestRejected():
            return [
                f"{server} It does not take the request as it is.",
                f"XWMS_SCOPES asks for {_code(' '.join(config.scopes))}: the client there must have each of them.",
                f"The client must have {registered}, byte for byte, and the response type `code`.",
            ]
        case Unreachable() | Timeout():
            return [
                f"{server} See whether this machine reaches its endpoints: network, DNS, firewall, certificates. "
                "Proxies of the environment are not used.",
                f"A call may take {config.timeout_seconds:g} seconds, from XWMS_TIMEOUT.",
            ]
        case BadAnswer():
            return [
                f"{server} It must be what the server's discovery document and its ID tokens say, to the byte: "
                "with or without a slash at the end.",
                "Without a discovery document, name the endpoints: XWMS_AUTHORIZATION_ENDPOINT, XWMS_TOKEN_ENDPOINT, "
                "and XWMS_JWKS_URI or XWMS_USERINFO_ENDPOINT.",
            ]
        case TokenRejected():
            return [
                "A code works once and for a short time: to reload the callback, or to go back to it, ends here too.",
                f"If every login ends so, compare the clocks; see whether {registered} is the one that the server has; "
                "and see the cause below.",
            ]
        case _:
            return []


def _register(config: XWMSConfig, uri: RedirectURI | None) -> list[str]:
    if uri is None:
        return []
    return [
        f"{_CLIENT} > Redirect URIs: add exactly {_code(uri.uri)}, byte for byte, and make it active.",
        f"It comes from XWMS_REDIRECT_URI, and the client is {_code(config.client_id)}: "
        "if another address is registered there, change the setting instead.",
        *[f"A local XWMS is told at its start: `xwms-auth sandbox --redirect-uri {_plain(uri.uri)}`"]
        * config.api.loopback,
    ]


def _credentials(config: XWMSConfig) -> list[str]:
    local = [
        "A local XWMS makes a new secret at each start, unless it is given one with --client-secret: "
        "copy the lines that it printed once more."
    ]
    return [
        f"XWMS refuses the client id {_code(config.client_id)}, the domain {_code(config.domain)}, or the secret.",
        *local * config.api.loopback,
        f"Dashboard > Clients: there must be a client with the id {_code(config.client_id)}; "
        "otherwise set XWMS_CLIENT_ID.",
        f"{_CLIENT} > Secrets: the secret must be active, not expired, and linked to the domain.",
        "A regenerated secret must be put into XWMS_CLIENT_SECRET, or into the file of XWMS_CLIENT_SECRET_FILE; "
        "the one before it no longer works.",
        f"{_CLIENT} > Domains: {_code(config.domain)} must be there, active, allow login, and have this server's "
        "address in its list of server IPs, if it has one; otherwise set XWMS_DOMAIN, without https://.",
        f"{_CLIENT} > API log shows why a call was refused.",
    ]


def _no_answer(error: XWMSError, config: XWMSConfig) -> list[str]:
    told = [f"XWMS is asked at {_code(config.api_url)}, from XWMS_API_URI. Is that its address?"]
    if config.api.loopback:
        told.append(
            "That is this machine: is the sandbox running? "
            "`xwms-auth sandbox` starts it, and `xwms-auth dev MODULE:APP` starts it with the application."
        )
    else:
        told.append(
            "See whether this machine reaches that host: network, DNS, firewall, certificates. "
            "Proxies of the environment are not used."
        )
    if isinstance(error, Timeout):
        told.append(f"A call may take {config.timeout_seconds:g} seconds, from XWMS_TIMEOUT.")
    return told


def _bad_answer(config: XWMSConfig) -> list[str]:
    return [
        f"XWMS_API_URI is {_code(config.api_url)}: it must be the address of the API, not of a web page.",
        "If the cause is the sign-in page's address, and you trust it, name its origin in XWMS_LOGIN_ORIGINS.",
    ]


def _token(config: XWMSConfig) -> list[str]:
    told = [
        "A token works once and for a short time: to reload the callback, or to go back to it, ends here too.",
        f"XWMS_CALLBACK_TOKEN (callback_token) is {_code(config.callback_token)}.",
    ]
    if config.callback_token != "either":
        told.append(
            "If every login ends so, that is not true of this XWMS: set it to `either`, log in, "
            "and the line `login_finished` in the log `xwms_auth` says which one is."
        )
    return told


def _where_it_begins(error: XWMSError, config: XWMSConfig, request: Request) -> list[str]:
    uri = _uri_in_use(config, request)
    if uri is None:
        return []
    same = _host(request).lower() in uri.host_names
    told = [
        f"Open the site under {_code(uri.origin)}, as the redirect URI {_code(uri.uri)} has it, and begin the login "
        "there: `localhost` and `127.0.0.1` are two hosts to a browser, and so are a name with www. and without.",
        f"This request, the callback, asked for the host {_code(_host(request))}, which is "
        + (
            "the redirect URI's. Where the login began, it does not tell."
            if same
            else f"not the redirect URI's, {_code(uri.netloc)}."
        ),
    ]
    if isinstance(error, LoginExpired):
        told.append("If it happens at once, compare the clocks of this machine and of XWMS.")
    else:
        told.append(
            "If the login began there, see whether the browser keeps cookies, "
            "and whether every process has the same XWMS_SESSION_SECRET."
        )
        if uri.secure:
            told.append("The redirect URI is https, so the cookie is Secure: the login must begin over https too.")
    return told


def _hosts(config: XWMSConfig, request: Request) -> list[str]:
    listed = ", ".join(_code(uri.uri) for uri in config.registered)
    return [
        f"This request asked for the host {_code(_host(request))}. XWMS_REDIRECT_URI has: {listed}.",
        "Open the site under a host of that list; behind a proxy, let it pass the Host header on as it came.",
        "If the host is yours, add a redirect URI on it to XWMS_REDIRECT_URI, "
        f"and the same in {_CLIENT} > Redirect URIs.",
    ]


def _dashboard(config: XWMSConfig) -> list[str]:
    """Where the dashboard of an XWMS on this machine is."""
    return [f"The dashboard of this local XWMS: {_code(config.api.origin + '/dashboard')}"] * config.api.loopback


def _uri_in_use(config: XWMSConfig, request: Request) -> RedirectURI | None:
    """The redirect URI that serves this request: the only one, or the one on the host that was asked for."""
    if len(config.registered) == 1:
        return config.registered[0]
    return next((uri for uri in config.registered if _host(request).lower() in uri.host_names), None)


def _host(request: Request) -> str:
    return (request.header("host") or "")[:_MAX_SHOWN]


def _code(value: str) -> str:
    return f"`{_plain(value) or '(none)'}`"


def _plain(text: str) -> str:
    """Text on one line, with no character that could pass for another, and no backtick, which would begin code."""
    shown = (one if " " <= one <= "~" or one == "…" else ascii(one)[1:-1] for one in text)
    return "".join(shown).replace("`", "'")
