"""Select the login protocol that is configured. Never loads a protocol that is not used."""

from ..config.context import Context
from ..providers.protocol import Provider
from ..providers.sign_token import SignTokenProvider


def provider_of(context: Context) -> Provider:
    """The protocol that the option `flow` names. Called once at startup, so that no request waits for loading."""
    if context.config.flow == "oauth2":
        from ..oauth2.code_flow import OAuth2Provider  # noqa: PLC0415  Authlib is loaded only if it is used

        return OAuth2Provider()
    return SignTokenProvider()
