"""The XWMS API as steps: build a call, ask for it, read the answer. For the login and for the clients alike.

Knows: which call has which answer.
Must not: send anything.
"""

from . import wire
from .config import XWMSConfig
from .effects import CallXWMS, Steps, ask
from .errors import BadAnswer
from .models import User
from .redirects import login_url_fault


def info() -> Steps[wire.Info]:
    """Ask XWMS whether it is there."""
    return wire.read_info((yield from ask(CallXWMS(wire.info()))))


def sign_token(config: XWMSConfig, redirect_uri: str) -> Steps[wire.LoginTicket]:
    """Begin a login. A browser may be sent to the ticket's `url`: it is XWMS's login page, or this is `BadAnswer`."""
    reply = yield from ask(CallXWMS(wire.sign_token(redirect_uri)))
    ticket = wire.read_ticket(reply, client_id=config.client_id)
    if fault := login_url_fault(ticket.url, origins=config.login_origins, api=config.api):
        raise BadAnswer(f"sign-token gave a url that is not XWMS's login page: {fault}")
    return ticket


def verify_token(config: XWMSConfig, token: str, redirect_uri: str) -> Steps[User]:
    """Spend a token and learn who logged in."""
    reply = yield from ask(CallXWMS(wire.verify_token(token, redirect_uri)))
    return wire.read_user(reply, token=token, client_id=config.client_id, issuer=config.issuer)
