"""The local XWMS as an OAuth 2.0 authorization server and OpenID provider, beside its own API.

Its protocol is Authlib's; what is known about clients, people and grants is the sandbox's own.

Knows: which endpoints there are.
Must not: be imported by anything but the app.
"""

from xwms_auth.sandbox.oauth.backchannel import Deliveries
from xwms_auth.sandbox.oauth.calls import OAuth
from xwms_auth.sandbox.oauth.provider import Provider

__all__ = ["Deliveries", "OAuth", "Provider"]
