"""The issuer: with `oauth2` the authorization server, with `sign-token` a name for the XWMS that `api_url` leads to.

Account confusion: the pair (issuer, sub) is an identity, so whoever may choose the issuer of a server's people may turn
them into those of another server. The number 1001 of a local XWMS, at which anybody may be anybody, would be the 1001
of the real one; and the issuer of an OAuth 2.0 server that is left in a variable after a change of `flow` would turn
XWMS's people into that server's. So a name counts only if it is the origin of the API, or if both are on plain http,
which is for development alone. A name never has a path: so a config that is copied to another XWMS does not take the
issuer of the first one along, which is the URL of its API.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...http.urls import ParsedURL, parse_endpoint

if TYPE_CHECKING:
    from ..config import XWMSConfig

MAX_ISSUER = 255
"""Characters of an issuer, as many as the table of accounts has for one."""


class DerivedIssuer(str):
    """An issuer that no option has named: it follows from others, and is derived anew where a config is copied."""

    __slots__ = ()


def parse_issuer(issuer: object, *, allow_http: bool) -> ParsedURL:
    """Parse an issuer, which is kept to the byte. Raises ValueError with the reason."""
    if "?" in str(issuer):
        raise ValueError("has a query")
    if len(str(issuer)) > MAX_ISSUER:
        raise ValueError(f"has more than {MAX_ISSUER} characters")
    return parse_endpoint(issuer, allow_http=allow_http)


def names_server(issuer: ParsedURL, api: ParsedURL) -> bool:
    """Whether this issuer can be a name of the XWMS with this API."""
    if issuer.scheme != api.scheme or issuer.path not in ("", "/"):
        return False
    return issuer.scheme == "http" or issuer.origin == api.origin


def issuer_faults(config: "XWMSConfig") -> Iterator[tuple[str, str]]:
    """What is wrong with the issuer and the discovery URL with `oauth2`: the option's name and the reason."""
    allow_http = config.insecure_allow_http is True
    if not config.issuer:
        if not config.authorization_endpoint:
            yield (
                "issuer",
                "is missing; set it to the authorization server's issuer, or set all endpoints; "
                "`xwms-auth sandbox` prints the issuer of a local server",
            )
        elif config.openid:
            yield "issuer", "is missing; an ID token is accepted only from the expected issuer"
    else:
        try:
            parse_issuer(config.issuer, allow_http=allow_http)
        except ValueError as error:
            yield "issuer", str(error)
    if not config.discovery_url:
        return
    # Mix-up: what the document says goes to nobody unless it names the issuer, so it needs one.
    if config.authorization_endpoint:
        yield "discovery_url", "is set beside the endpoints, which need no discovery; keep one of the two"
    if str(config.issuer).startswith("https://") and not str(config.discovery_url).startswith("https://"):
        yield "discovery_url", "is not https, as the issuer is"
