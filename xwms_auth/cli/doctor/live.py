"""The site as a browser meets it, through its proxies: `--live https://your.site`. Nobody is logged in by it."""

from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qs, urlsplit

import httpx2

from xwms_auth._core.config.config import XWMSConfig
from xwms_auth._core.http.urls import RedirectURI
from xwms_auth.cli.doctor.fetching import Unreachable, ahead, fetch
from xwms_auth.cli.doctor.findings import Finding, difference, fault, ok, skipped, warning
from xwms_auth.cli.doctor.servers import MAX_SKEW
from xwms_auth.cli.login_check import NAVIGATION_HEADERS, code_in

_SECONDS: Final = 15.0

_ANSWERS: Final = {"sign-token": "?token=doctor", "oauth2": "?code=doctor&state=doctor"}
"""What XWMS sends people back with. No login is ever ended by these."""


def of_site(config: XWMSConfig, origin: str) -> Iterator[Finding]:
    """Every check of the running site at this origin."""
    uri = next((uri for uri in config.registered if uri.origin == origin), None)
    if uri is None:
        closest = config.registered[0]
        text = f"no redirect URI is on {origin}:{difference(closest.origin, origin)}"
        remedy = f"register {origin}{closest.path} and set it as XWMS_REDIRECT_URI, or send people to {closest.origin}"
        yield fault("redirect URI", text, remedy)
    with httpx2.Client(timeout=_SECONDS, trust_env=False, headers=NAVIGATION_HEADERS) as client:
        try:
            yield from _of_me(_asked(client, origin + config.me_path))
            if uri is not None:
                yield _of_callback(_asked(client, uri.uri), _asked(client, uri.uri + _ANSWERS[config.flow]), uri)
                login = _asked(client, origin + config.login_path)
                yield from _of_login(login, uri)
                if login.status_code == 302 and (place := login.headers.get("location", "")).startswith("http"):
                    yield _of_sign_in(client, place, config)
                again = login if login.status_code != 302 else _asked(client, origin + config.login_path)
                if again is not login and set(_login_cookies(again)) & set(_login_cookies(login)):
                    yield _of_shared_login(origin + config.login_path)
        except Unreachable as error:
            remedy = "is it running, and does its certificate cover this name?"
            yield fault("site", f"{origin} cannot be reached: {error}", remedy)
            return
        if origin.startswith("https:"):
            yield _of_plain_http(client, urlsplit(origin).netloc)


def _asked(client: httpx2.Client, url: str) -> httpx2.Response:
    return fetch(client, url, seconds=_SECONDS)


def _of_me(response: httpx2.Response) -> Iterator[Finding]:
    where = str(response.request.url.copy_with(query=None))
    if code_in(response) == "host_not_registered":
        yield _of_host(where)
        return
    if response.status_code != 200 or b'"login_url"' not in response.content:
        text = f"{where} answered {response.status_code} {code_in(response)}".rstrip()
        remedy = (
            "does the proxy pass this path on, and is the login in the application? See: xwms-auth routes MODULE:APP"
        )
        yield fault("site", text, remedy)
        return
    yield ok("site", f"{where} answers")
    if "no-store" not in response.headers.get("cache-control", ""):
        remedy = "let the proxy or CDN pass on Cache-Control as it comes"
        yield fault(
            "caches", f"{where} has lost its `Cache-Control: no-store`: a cache may show one person to another", remedy
        )
    if response.headers.get("age"):
        yield fault(
            "caches", f"{where} comes out of a cache (Age: {response.headers['age']})", "let no cache keep /xwms/*"
        )
    if abs(skew := ahead(response) or 0) > MAX_SKEW:
        text = f"the site's clock and this machine's differ by {abs(skew):.0f} s"
        yield warning("clock", text, "synchronise both, as with systemd-timesyncd or chrony")


def _of_host(where: str) -> Finding:
    remedy = "a proxy must pass the Host header on unchanged (nginx: proxy_set_header Host $host;)"
    return fault("host", f"{where}: the application sees another host than browsers ask for", remedy)


def _of_callback(bare: httpx2.Response, answered: httpx2.Response, uri: RedirectURI) -> Finding:
    """``bare`` is the callback without parameters, ``answered`` with those of an answer that the login refuses."""
    code = code_in(bare)
    if code == "host_not_registered":
        return _of_host(uri.uri)
    if code != "token_missing":
        text = f"{uri.uri} answered {bare.status_code} {code}".rstrip()
        remedy = "the path of XWMS_REDIRECT_URI must reach the application unchanged, without a redirect"
        return fault("callback", text, remedy)
    if code_in(answered) in ("", code):
        text = f"{uri.uri} loses its query on the way, with which XWMS sends people back"
        return fault("callback", text, "let the proxy pass on the query, and cache nothing of it")
    return ok("callback", f"{uri.uri} is the login's callback")


def _login_cookies(response: httpx2.Response) -> list[str]:
    """The cookies of a pending login, a header each."""
    return [text for text in response.headers.get_list("set-cookie") if "xwms_login_" in text]


def _of_shared_login(where: str) -> Finding:
    text = f"{where} sets the same cookie for everybody: a cache keeps it, so that one person's login is another's"
    return fault("caches", text, "let no cache keep /xwms/*, whatever its headers say")


def _of_login(response: httpx2.Response, uri: RedirectURI) -> Iterator[Finding]:
    where = str(response.request.url.copy_with(query=None))
    if code := code_in(response):
        yield fault(
            "login", f"{where} answered {response.status_code} {code}", "docs/errors.md says what to do about it"
        )
        return
    location = response.headers.get("location", "")
    if response.status_code == 200:
        text = f"{where} asks for a click although the login began by typing its address"
        yield warning("login", text, "let the proxy pass on the Sec-Fetch headers")
        return
    if response.status_code != 302 or not location:
        yield fault(
            "login", f"{where} answered {response.status_code}", "is the login in the application, and at this path?"
        )
        return
    try:
        parts = urlsplit(location)
    except ValueError:
        parts = urlsplit("")
    if not parts.hostname or f"{parts.scheme}://{parts.netloc}" == uri.origin:
        remedy = "a proxy must neither answer for this path nor rewrite Location (nginx: proxy_redirect off;)"
        yield fault("login", f"{where} does not lead to XWMS", remedy)
        return
    yield ok("login", f"{where} leads to {parts.hostname}")
    sent = parse_qs(parts.query).get("redirect_uri", [uri.uri])[0]
    if sent != uri.uri:
        text = f"the site sends another redirect URI than these settings have:{difference(uri.uri, sent)}"
        yield fault("redirect URI", text, "give this command the settings of the site, or the site these")
    yield from _of_cookies(response, uri)


def _of_sign_in(client: httpx2.Client, place: str, config: XWMSConfig) -> Finding:
    """What the server says to the login that the site has begun: it shows an unknown client there, not to the site."""
    try:
        response = _asked(client, place)
    except Unreachable as error:
        return skipped("sign-in", f"this machine cannot reach the server: {error}")
    if response.status_code < 400:
        return ok("sign-in", f"the server takes the login of client {config.client_id}")
    text = f"the server answers the login of client {config.client_id} with {response.status_code}"
    remedy = "open the login in a browser: the page says whether it knows the client and the redirect URI"
    return fault("sign-in", text, remedy)


def _of_cookies(response: httpx2.Response, uri: RedirectURI) -> Iterator[Finding]:
    """What a proxy or a CDN may have done to the cookie of the pending login."""
    headers = _login_cookies(response)
    if not headers:
        remedy = "a proxy or CDN that takes cookies away must leave those of the login"
        yield fault("cookies", "the login sets no cookie, so that no callback can be recognised", remedy)
        return
    wrong = list(dict.fromkeys(name for header in headers for name in _changed(header, uri)))
    if wrong:
        text = f"the cookie of a login comes changed: {', '.join(wrong)}"
        yield fault(
            "cookies", text, "take proxy_cookie_path, proxy_cookie_domain, proxy_cookie_flags and the like away"
        )
    else:
        yield ok("cookies", "as the application sets them")


def _changed(header: str, uri: RedirectURI) -> Iterator[str]:
    """The attributes of a cookie that are not as we set them. Others, such as `Partitioned`, do not matter here."""
    (name, _), *pairs = (
        (key.strip().lower(), value.strip()) for key, _, value in (part.partition("=") for part in header.split(";"))
    )
    given = dict(pairs)
    if "httponly" not in given:
        yield "httponly"
    if given.get("samesite", "").lower() != "lax":
        yield "samesite"
    if given.get("path") != "/":
        yield "path"
    if given.get("domain"):
        yield "domain"
    if uri.secure and "secure" not in given:
        yield "secure"
    if uri.secure and not name.startswith("__host-"):
        yield "__Host-"


def _of_plain_http(client: httpx2.Client, netloc: str) -> Finding:
    host = netloc if netloc.endswith("]") else netloc.rpartition(":")[0] or netloc
    try:
        response = _asked(client, f"http://{host}/")
    except Unreachable:
        return ok("https", "nothing answers on plain http")
    if response.headers.get("location", "").startswith("https://"):
        return ok("https", "plain http leads to https")
    if response.status_code < 400:
        remedy = "redirect all of it to https, and send Strict-Transport-Security"
        return warning("https", f"http://{host}/ is served without https", remedy)
    return skipped("https", f"http://{host}/ answered {response.status_code}")
