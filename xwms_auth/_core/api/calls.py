"""The XWMS API calls as steps: build the request, yield it, parse the response. Used by the login and the clients."""

from ..base.effects import CallXWMS, Steps, ask
from ..base.errors import BadAnswer
from ..base.models import User
from ..config.config import XWMSConfig
from ..http.urls import login_url_fault
from . import login_messages, resource_messages
from .resources import Address, Country, Project, StoredAddress, UserInfo


def info() -> Steps[login_messages.ApiInfo]:
    """Check that the XWMS API is reachable."""
    return login_messages.read_info((yield from ask(CallXWMS(login_messages.info()))))


def sign_token(config: XWMSConfig, redirect_uri: str) -> Steps[login_messages.LoginTicket]:
    """Begin a login. Raises `BadAnswer` unless the ticket's `url` is XWMS's login page (open redirect)."""
    response = yield from ask(CallXWMS(login_messages.sign_token(redirect_uri)))
    ticket = login_messages.read_ticket(response, client_id=config.client_id)
    if fault := login_url_fault(ticket.url, origins=config.login_origins, api=config.api):
        raise BadAnswer(f"sign-token returned a URL that is not XWMS's login page: {fault}")
    return ticket


def verify_token(config: XWMSConfig, token: str, redirect_uri: str) -> Steps[User]:
    """Redeem a single-use token and return the user who logged in."""
    response = yield from ask(CallXWMS(login_messages.verify_token(token, redirect_uri)))
    return login_messages.read_user(response, token=token, client_id=config.client_id, issuer=config.issuer)


def countries(config: XWMSConfig) -> Steps[tuple[Country, ...]]:
    """Fetch all countries."""
    response = yield from ask(CallXWMS(resource_messages.countries(_default_redirect_uri(config))))
    return resource_messages.read_countries(response)


def projects() -> Steps[tuple[Project, ...]]:
    """Fetch the public projects."""
    return resource_messages.read_projects((yield from ask(CallXWMS(resource_messages.projects()))))


def user_info(config: XWMSConfig, sub: str, *, socials: bool) -> Steps[UserInfo]:
    """Fetch a user's current data."""
    response = yield from ask(
        CallXWMS(resource_messages.user_info(sub, _default_redirect_uri(config), socials=socials))
    )
    return resource_messages.read_user_info(response, sub=sub, issuer=config.issuer)


def list_addresses(config: XWMSConfig, sub: str) -> Steps[tuple[StoredAddress, ...]]:
    """Fetch a user's addresses."""
    response = yield from ask(CallXWMS(resource_messages.list_addresses(sub, _default_redirect_uri(config))))
    return resource_messages.read_addresses(response, sub=sub)


def create_address(config: XWMSConfig, sub: str, address: Address) -> Steps[StoredAddress]:
    """Create an address for a user."""
    response = yield from ask(CallXWMS(resource_messages.create_address(sub, address, _default_redirect_uri(config))))
    return resource_messages.read_address(response, sub=sub)


def update_address(config: XWMSConfig, sub: str, address_id: str, address: Address) -> Steps[StoredAddress]:
    """Update one of a user's addresses."""
    response = yield from ask(
        CallXWMS(resource_messages.update_address(sub, address_id, address, _default_redirect_uri(config)))
    )
    return resource_messages.read_address(response, sub=sub, address_id=address_id)


def delete_address(config: XWMSConfig, sub: str, address_id: str) -> Steps[None]:
    """Delete one of a user's addresses."""
    response = yield from ask(
        CallXWMS(resource_messages.delete_address(sub, address_id, _default_redirect_uri(config)))
    )
    resource_messages.read_deleted(response)


def _default_redirect_uri(config: XWMSConfig) -> str:
    """The redirect URI to send with calls outside a login: the first registered one."""
    return config.registered[0].uri
