"""Which protocol a site logs people in by.

Knows: the providers there are.
Must not: load what the site's flow does not need.
"""

from ..config.context import Context
from ..providers.protocol import Provider
from ..providers.sign_token import SignTokenProvider


def provider_of(context: Context) -> Provider:
    """The protocol that the site's `flow` names. Edges ask once at start, so that nobody waits while it is loaded."""
    if context.config.flow == "oauth2":
        from ..oauth2.code_flow import OAuth2Provider  # noqa: PLC0415  Authlib is loaded only by who uses it

        return OAuth2Provider()
    return SignTokenProvider()
