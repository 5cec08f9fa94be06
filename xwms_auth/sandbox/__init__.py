"""A local XWMS: API, sign-in page and dashboard on this machine, without an account and without a network.

It follows the documented protocol so closely that going live changes settings only.
It is for development and tests: it has no passwords, and anybody who can reach it can sign in as anybody.
It imports nothing of the login package, so that the two interact over HTTP only.
"""

from importlib.util import find_spec

if missing := [
    name for name in ("flask", "flask_wtf", "sqlalchemy", "countryinfo", "stdnum") if find_spec(name) is None
]:
    raise ImportError(f"The local XWMS needs {', '.join(missing)}: pip install 'xwms-auth[sandbox]'")

from xwms_auth.sandbox.app import create_app
from xwms_auth.sandbox.faults.catalogue import parse_fault
from xwms_auth.sandbox.server import SandboxServer
from xwms_auth.sandbox.settings import SandboxSettings

__all__ = ["SandboxServer", "SandboxSettings", "create_app", "parse_fault"]
