"""The local XWMS as an OAuth 2.0 authorization server and OpenID provider.

Authlib implements the protocol, on top of the sandbox's clients, people and grants.
"""

from xwms_auth.sandbox.oauth.backchannel import Deliveries
from xwms_auth.sandbox.oauth.provider import Provider
from xwms_auth.sandbox.oauth.routes import OAuth

__all__ = ["Deliveries", "OAuth", "Provider"]
