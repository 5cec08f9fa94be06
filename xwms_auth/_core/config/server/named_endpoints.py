"""The endpoints that are named in the settings: all that a login needs, or single ones beside a discovery document.

Mix-up (RFC 9700 4.4): the endpoints that see the code and its verifier, and the keys, come from one source: all from
the settings, or all from the document of the issuer. The others may be named to complete or correct the document.
"""

from typing import TYPE_CHECKING

from ...http.urls import parse_endpoint
from .issuers import DerivedIssuer
from .metadata import ENDPOINTS, metadata_of

if TYPE_CHECKING:
    from ..validation import Validator

COMPLETING = ("userinfo_endpoint", "revocation_endpoint", "introspection_endpoint", "end_session_endpoint")
"""The endpoints that may be named beside an issuer alone."""


def parse_named(validator: "Validator") -> dict[str, str]:
    """Return the endpoints that are named, and check them and the discovery URL by themselves."""
    config = validator.config
    validator.set("metadata", None)
    validator.set("named_endpoints", ())
    endpoints = {name: getattr(config, name) for name in ENDPOINTS if getattr(config, name)}
    for name in (*endpoints, *(("discovery_url",) if config.discovery_url else ())):
        try:
            parse_endpoint(getattr(config, name), allow_http=config.insecure_allow_http is True)
        except ValueError as error:
            validator.fault(name, str(error))
    return endpoints


def validate_endpoints(validator: "Validator", endpoints: dict[str, str]) -> None:
    """Set `metadata` if the endpoints need no document, or `named_endpoints` if they complete one."""
    config = validator.config
    if endpoints.keys() <= set(COMPLETING) and config.issuer:
        for name, url in endpoints.items():
            if str(config.issuer).startswith("https://") and not str(url).startswith("https://"):
                validator.fault(name, "is not https, as the issuer is")
        validator.set("named_endpoints", tuple(endpoints.items()))
        return
    if not endpoints:
        return
    needed = ("authorization_endpoint", "token_endpoint", "jwks_uri" if config.openid else "userinfo_endpoint")
    missing = [name for name in needed if name not in endpoints]
    for name in missing:
        validator.fault(name, f"is missing; set {', '.join(needed)}, or none of the three and the issuer")
    if missing or validator.faults:
        return
    if not config.issuer:
        # A plain OAuth 2.0 server has no issuer identifier, so the origin that people are sent to stands for it.
        origin = parse_endpoint(config.authorization_endpoint, allow_http=True).origin
        validator.set("issuer", DerivedIssuer(origin))
    validator.set("metadata", metadata_of(str(config.issuer), endpoints))
