"""The public XWMS API clients, sync and async.

Each method is one line: `api/` defines the calls, `transport.py` sends them. Sync and async share all other code.
"""

from types import TracebackType
from typing import Self

from ...stores.memory import MemoryStore
from ..api import login_calls, resource_calls
from ..api.login_calls import ApiInfo, LoginTicket
from ..api.resources import Address, Country, Project, StoredAddress, UserInfo
from ..base.effects import Runtime, arun, run
from ..base.models import User
from ..base.strict_json import parse_sub
from ..config.config import XWMSConfig
from .transport import AsyncHTTPTransport, HTTPTransport


class XWMSClient:
    """Sync client for the XWMS API. Create one and reuse it: connections are pooled, and it is thread-safe.

    Every method may raise an `APIError`: `Unreachable`, `Timeout`, `BadAnswer`, `CredentialsRejected`, `ClientDisabled`
    or `RedirectNotRegistered`; `verify_token` also `TokenRejected`; those about a user also `NotApproved`, `NotFound`
    or `RequestRejected`. An invalid `sub` or address id raises ValueError. Source: XWMS's API documentation.
    """

    def __init__(self, config: XWMSConfig) -> None:
        self._config = config
        self._transport = HTTPTransport(config)
        self._runtime = Runtime(self._transport, MemoryStore())

    def info(self) -> ApiInfo:
        """Check that XWMS is reachable. Needs no credentials."""
        return run(login_calls.info(), self._runtime)

    def sign_token(self, redirect_uri: str) -> LoginTicket:
        """Begin a login that returns to this registered redirect URI."""
        return run(login_calls.sign_token(self._config, redirect_uri), self._runtime)

    def verify_token(self, token: str, redirect_uri: str) -> User:
        """Redeem a callback's single-use token and return the user who logged in."""
        return run(login_calls.verify_token(self._config, token, redirect_uri), self._runtime)

    def countries(self) -> tuple[Country, ...]:
        """Return all countries, with the data that address forms and tax rules need."""
        return run(resource_calls.countries(self._config), self._runtime)

    def projects(self) -> tuple[Project, ...]:
        """Return the public projects. Needs no credentials."""
        return run(resource_calls.projects(), self._runtime)

    def user_info(self, sub: str, *, socials: bool = True) -> UserInfo:
        """Return a user's current data. Everything beyond a `User` needs the scope `userinfo`."""
        return run(resource_calls.user_info(self._config, sub, socials=socials), self._runtime)

    def addresses(self, sub: str) -> "Addresses":
        """Return access to a user's addresses, without a request yet. Needs the scope `useraddresses`."""
        return Addresses(self._config, self._runtime, sub)

    def close(self) -> None:
        """Close idle connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Addresses:
    """One user's addresses, as returned by `XWMSClient.addresses(sub)`."""

    def __init__(self, config: XWMSConfig, runtime: Runtime, sub: str) -> None:
        self._config, self._runtime, self._sub = config, runtime, parse_sub(sub)

    def list(self) -> tuple[StoredAddress, ...]:
        """Return all addresses of the user, possibly none."""
        return run(resource_calls.list_addresses(self._config, self._sub), self._runtime)

    def create(self, address: Address) -> StoredAddress:
        """Create an address. Never retried automatically: after a `Timeout` it may exist."""
        return run(resource_calls.create_address(self._config, self._sub, address), self._runtime)

    def update(self, address_id: str, address: Address) -> StoredAddress:
        """Update an address. Fields that are None keep their value at XWMS."""
        return run(resource_calls.update_address(self._config, self._sub, address_id, address), self._runtime)

    def delete(self, address_id: str) -> None:
        """Delete an address."""
        run(resource_calls.delete_address(self._config, self._sub, address_id), self._runtime)


class AsyncXWMSClient:
    """Async client for the XWMS API, on asyncio or trio, with the methods of `XWMSClient`. Tasks may share it."""

    def __init__(self, config: XWMSConfig) -> None:
        self._config = config
        self._transport = AsyncHTTPTransport(config)
        self._transport.keep_connections()
        self._runtime = Runtime(self._transport, MemoryStore())

    async def info(self) -> ApiInfo:
        """Check that XWMS is reachable. Needs no credentials."""
        return await arun(login_calls.info(), self._runtime)

    async def sign_token(self, redirect_uri: str) -> LoginTicket:
        """Begin a login that returns to this registered redirect URI."""
        return await arun(login_calls.sign_token(self._config, redirect_uri), self._runtime)

    async def verify_token(self, token: str, redirect_uri: str) -> User:
        """Redeem a callback's single-use token and return the user who logged in."""
        return await arun(login_calls.verify_token(self._config, token, redirect_uri), self._runtime)

    async def countries(self) -> tuple[Country, ...]:
        """Return all countries, with the data that address forms and tax rules need."""
        return await arun(resource_calls.countries(self._config), self._runtime)

    async def projects(self) -> tuple[Project, ...]:
        """Return the public projects. Needs no credentials."""
        return await arun(resource_calls.projects(), self._runtime)

    async def user_info(self, sub: str, *, socials: bool = True) -> UserInfo:
        """Return a user's current data. Everything beyond a `User` needs the scope `userinfo`."""
        return await arun(resource_calls.user_info(self._config, sub, socials=socials), self._runtime)

    def addresses(self, sub: str) -> "AsyncAddresses":
        """Return access to a user's addresses, without a request yet. Needs the scope `useraddresses`."""
        return AsyncAddresses(self._config, self._runtime, sub)

    async def aclose(self) -> None:
        """Close idle connections."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class AsyncAddresses:
    """One user's addresses, as returned by `AsyncXWMSClient.addresses(sub)`."""

    def __init__(self, config: XWMSConfig, runtime: Runtime, sub: str) -> None:
        self._config, self._runtime, self._sub = config, runtime, parse_sub(sub)

    async def list(self) -> tuple[StoredAddress, ...]:
        """Return all addresses of the user, possibly none."""
        return await arun(resource_calls.list_addresses(self._config, self._sub), self._runtime)

    async def create(self, address: Address) -> StoredAddress:
        """Create an address. Never retried automatically: after a `Timeout` it may exist."""
        return await arun(resource_calls.create_address(self._config, self._sub, address), self._runtime)

    async def update(self, address_id: str, address: Address) -> StoredAddress:
        """Update an address. Fields that are None keep their value at XWMS."""
        return await arun(resource_calls.update_address(self._config, self._sub, address_id, address), self._runtime)

    async def delete(self, address_id: str) -> None:
        """Delete an address."""
        await arun(resource_calls.delete_address(self._config, self._sub, address_id), self._runtime)
