"""The XWMS API for applications, in both colours. One line a method: `calls.py` says what, `transport.py` sends.

Knows: nothing but names.
Must not: repeat anything between the colours but those.
"""

from types import TracebackType
from typing import Self

from ...stores.memory import MemoryStore
from ..api import calls
from ..api.login_messages import ApiInfo, LoginTicket
from ..api.resources import Address, Country, Project, StoredAddress, UserInfo
from ..base.effects import Runtime
from ..base.models import User
from ..base.strict_json import parse_sub
from ..config.config import XWMSConfig
from .runner import arun, run
from .transport import AsyncHTTPTransport, HTTPTransport


class XWMSClient:
    """Calls XWMS from plain code. Make one and keep it: connections are pooled, threads may share it.

    Every method raises an `APIError`: `Unreachable`, `Timeout`, `BadAnswer`, `CredentialsRejected`, `ClientDisabled` or
    `RedirectNotRegistered`; `verify_token` also `TokenRejected`; those about a person also `NotApproved`, `NotFound` or
    `RequestRejected`. A `sub` or an address id that cannot be one is a ValueError. Source: XWMS's API documentation.
    """

    def __init__(self, config: XWMSConfig) -> None:
        self._config = config
        self._transport = HTTPTransport(config)
        self._runtime = Runtime(self._transport, MemoryStore())

    def info(self) -> ApiInfo:
        """Ask XWMS whether it is there; needs no credentials."""
        return run(calls.info(), self._runtime)

    def sign_token(self, redirect_uri: str) -> LoginTicket:
        """Begin a login that will end at this registered redirect URI."""
        return run(calls.sign_token(self._config, redirect_uri), self._runtime)

    def verify_token(self, token: str, redirect_uri: str) -> User:
        """Spend a callback's token, which works once, and learn who logged in."""
        return run(calls.verify_token(self._config, token, redirect_uri), self._runtime)

    def countries(self) -> tuple[Country, ...]:
        """All countries, with what an address form or a tax rule asks of them."""
        return run(calls.countries(self._config), self._runtime)

    def projects(self) -> tuple[Project, ...]:
        """The projects that XWMS shows to everybody; needs no credentials."""
        return run(calls.projects(), self._runtime)

    def user_info(self, sub: str, *, socials: bool = True) -> UserInfo:
        """What XWMS knows about a person now. All beyond a `User` is there only with the scope `userinfo`."""
        return run(calls.user_info(self._config, sub, socials=socials), self._runtime)

    def addresses(self, sub: str) -> "Addresses":
        """The addresses of a person; needs the scope `useraddresses`. Asks XWMS nothing yet."""
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
    """One person's addresses, as `XWMSClient.addresses(sub)` gives them."""

    def __init__(self, config: XWMSConfig, runtime: Runtime, sub: str) -> None:
        self._config, self._runtime, self._sub = config, runtime, parse_sub(sub)

    def list(self) -> tuple[StoredAddress, ...]:
        """All of them; perhaps none."""
        return run(calls.list_addresses(self._config, self._sub), self._runtime)

    def create(self, address: Address) -> StoredAddress:
        """Add one. Not repeated by itself: after a `Timeout` it may exist."""
        return run(calls.create_address(self._config, self._sub, address), self._runtime)

    def update(self, address_id: str, address: Address) -> StoredAddress:
        """Change one. Fields that are None stay as they are at XWMS."""
        return run(calls.update_address(self._config, self._sub, address_id, address), self._runtime)

    def delete(self, address_id: str) -> None:
        """Delete one."""
        run(calls.delete_address(self._config, self._sub, address_id), self._runtime)


class AsyncXWMSClient:
    """The same for async code, on asyncio or trio. Tasks may share it."""

    def __init__(self, config: XWMSConfig) -> None:
        self._config = config
        self._transport = AsyncHTTPTransport(config)
        self._transport.keep_connections()
        self._runtime = Runtime(self._transport, MemoryStore())

    async def info(self) -> ApiInfo:
        """Ask XWMS whether it is there; needs no credentials."""
        return await arun(calls.info(), self._runtime)

    async def sign_token(self, redirect_uri: str) -> LoginTicket:
        """Begin a login that will end at this registered redirect URI."""
        return await arun(calls.sign_token(self._config, redirect_uri), self._runtime)

    async def verify_token(self, token: str, redirect_uri: str) -> User:
        """Spend a callback's token, which works once, and learn who logged in."""
        return await arun(calls.verify_token(self._config, token, redirect_uri), self._runtime)

    async def countries(self) -> tuple[Country, ...]:
        """All countries, with what an address form or a tax rule asks of them."""
        return await arun(calls.countries(self._config), self._runtime)

    async def projects(self) -> tuple[Project, ...]:
        """The projects that XWMS shows to everybody; needs no credentials."""
        return await arun(calls.projects(), self._runtime)

    async def user_info(self, sub: str, *, socials: bool = True) -> UserInfo:
        """What XWMS knows about a person now. All beyond a `User` is there only with the scope `userinfo`."""
        return await arun(calls.user_info(self._config, sub, socials=socials), self._runtime)

    def addresses(self, sub: str) -> "AsyncAddresses":
        """The addresses of a person; needs the scope `useraddresses`. Asks XWMS nothing yet."""
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
    """The same for async code."""

    def __init__(self, config: XWMSConfig, runtime: Runtime, sub: str) -> None:
        self._config, self._runtime, self._sub = config, runtime, parse_sub(sub)

    async def list(self) -> tuple[StoredAddress, ...]:
        """All of them; perhaps none."""
        return await arun(calls.list_addresses(self._config, self._sub), self._runtime)

    async def create(self, address: Address) -> StoredAddress:
        """Add one. Not repeated by itself: after a `Timeout` it may exist."""
        return await arun(calls.create_address(self._config, self._sub, address), self._runtime)

    async def update(self, address_id: str, address: Address) -> StoredAddress:
        """Change one. Fields that are None stay as they are at XWMS."""
        return await arun(calls.update_address(self._config, self._sub, address_id, address), self._runtime)

    async def delete(self, address_id: str) -> None:
        """Delete one."""
        await arun(calls.delete_address(self._config, self._sub, address_id), self._runtime)
