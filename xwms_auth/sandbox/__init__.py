"""A local XWMS: the API and the sign-in page of XWMS on this machine, without an account and without a network.

It speaks the documented protocol so closely that going live changes settings only.
It is for development and tests: it knows no passwords, and anybody who reaches it may be anybody.
It imports nothing of the login package, so that the two can only meet over HTTP.
"""

from importlib.util import find_spec

if find_spec("flask") is None:
    raise ImportError("The local XWMS needs Flask: pip install 'xwms-auth[sandbox]'")

from xwms_auth.sandbox.app import create_app
from xwms_auth.sandbox.server import SandboxServer
from xwms_auth.sandbox.settings import SandboxSettings

__all__ = ["SandboxServer", "SandboxSettings", "create_app"]
