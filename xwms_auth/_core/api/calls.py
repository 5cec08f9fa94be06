"""The XWMS API as steps: build a call, ask for it, read the answer. For the login and for the clients alike.

Knows: which call has which answer.
Must not: send anything.
"""

from ..base.effects import CallXWMS, Steps, ask
from ..base.errors import BadAnswer
from ..base.models import User
from ..config.config import XWMSConfig
from ..http.urls import login_url_fault
from . import login_messages, resource_messages
from .resources import Address, Country, Project, StoredAddress, UserInfo


def info() -> Steps[login_messages.ApiInfo]:
    """Ask XWMS whether it is there."""
    return login_messages.read_info((yield from ask(CallXWMS(login_messages.info()))))


def sign_token(config: XWMSConfig, redirect_uri: str) -> Steps[login_messages.LoginTicket]:
    """Begin a login. A browser may be sent to the ticket's `url`: it is XWMS's login page, or this is `BadAnswer`."""
    reply = yield from ask(CallXWMS(login_messages.sign_token(redirect_uri)))
    ticket = login_messages.read_ticket(reply, client_id=config.client_id)
    if fault := login_url_fault(ticket.url, origins=config.login_origins, api=config.api):
        raise BadAnswer(f"sign-token gave a url that is not XWMS's login page: {fault}")
    return ticket


def verify_token(config: XWMSConfig, token: str, redirect_uri: str) -> Steps[User]:
    """Spend a token and learn who logged in."""
    reply = yield from ask(CallXWMS(login_messages.verify_token(token, redirect_uri)))
    return login_messages.read_user(reply, token=token, client_id=config.client_id, issuer=config.issuer)


def countries(config: XWMSConfig) -> Steps[tuple[Country, ...]]:
    """Ask for all countries."""
    reply = yield from ask(CallXWMS(resource_messages.countries(_home(config))))
    return resource_messages.read_countries(reply)


def projects() -> Steps[tuple[Project, ...]]:
    """Ask for the projects that XWMS shows to everybody."""
    return resource_messages.read_projects((yield from ask(CallXWMS(resource_messages.projects()))))


def user_info(config: XWMSConfig, sub: str, *, socials: bool) -> Steps[UserInfo]:
    """Ask what XWMS knows about a person now."""
    reply = yield from ask(CallXWMS(resource_messages.user_info(sub, _home(config), socials=socials)))
    return resource_messages.read_user_info(reply, sub=sub, issuer=config.issuer)


def list_addresses(config: XWMSConfig, sub: str) -> Steps[tuple[StoredAddress, ...]]:
    """Ask for a person's addresses."""
    reply = yield from ask(CallXWMS(resource_messages.list_addresses(sub, _home(config))))
    return resource_messages.read_addresses(reply, sub=sub)


def create_address(config: XWMSConfig, sub: str, address: Address) -> Steps[StoredAddress]:
    """Add an address to a person's."""
    reply = yield from ask(CallXWMS(resource_messages.create_address(sub, address, _home(config))))
    return resource_messages.read_address(reply, sub=sub)


def update_address(config: XWMSConfig, sub: str, address_id: str, address: Address) -> Steps[StoredAddress]:
    """Change one of a person's addresses."""
    reply = yield from ask(CallXWMS(resource_messages.update_address(sub, address_id, address, _home(config))))
    return resource_messages.read_address(reply, sub=sub, address_id=address_id)


def delete_address(config: XWMSConfig, sub: str, address_id: str) -> Steps[None]:
    """Delete one of a person's addresses."""
    reply = yield from ask(CallXWMS(resource_messages.delete_address(sub, address_id, _home(config))))
    resource_messages.read_deleted(reply)


def _home(config: XWMSConfig) -> str:
    """The redirect URI for a call that belongs to no login: the first."""
    return config.registered[0].uri
