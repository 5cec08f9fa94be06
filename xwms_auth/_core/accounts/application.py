"""What a login asks of the application, as effects: its linker, its hooks, and who is there by its own login."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar, cast

from ..base import events
from ..base.dataclass import dataclass
from ..base.effects import Effect, Runtime, Steps, ask
from ..base.models import User
from ..base.unexpected import internal_error
from .errors import NobodyToLink
from .hooks import AccountCreated, AccountLinked, EmailChanged, Event, LoggedIn
from .linker import AppLogin, Linked, Linker, ProofNeeded

R = TypeVar("R")


class Application(Protocol):
    """The application, as one request of a login reaches it."""

    @property
    def linker(self) -> Linker[Any] | None: ...
    @property
    def app_login(self) -> AppLogin | None: ...

    def call(self, function: Callable[..., R | Awaitable[R]], *args: object) -> R | Awaitable[R]:
        """Call a function of the application as its framework would."""
        ...

    def tell(self, event: Event) -> object:
        """Call what the application has for this event, and return its result, perhaps an awaitable."""
        ...

    def who(self) -> object:
        """The result of `AppLogin.who`, perhaps an awaitable; None without an own login."""
        ...


@dataclass(frozen=True, slots=True)
class _Call(Effect[R]):
    function: Callable[[], R | Awaitable[R]]

    def perform(self, runtime: Runtime) -> R | Awaitable[R]:
        return self.function()


def ask_application(function: Callable[[], R | Awaitable[R]]) -> Steps[R]:
    """Call a function that calls the application, and return its result."""
    return ask(_Call(function))


def sign_in(application: Application, linker: Linker[Any], user: User) -> Steps[Linked | ProofNeeded]:
    """Find or create the account of a person. Raises what `Linker.sign_in` raises."""
    return ask_application(lambda: application.call(linker.sign_in, user))


def link(application: Application, linker: Linker[Any], user: User, key: str) -> Steps[Linked]:
    """Link the person's identity to an account. Raises what `Linker.link` raises."""
    return ask_application(lambda: application.call(linker.link, user, key))


def refresh(application: Application, linker: Linker[Any], user: User) -> Steps[Linked | None]:
    """Bring the account of a person up to date, if there is one. Raises what `Linker.refresh` raises."""
    return ask_application(lambda: application.call(linker.refresh, user))


def account_here(application: Application, linker: Linker[Any], signed_in: User | None) -> Steps[str | None]:
    """The key of the account whose owner is there: by the application's own login, or as `signed_in`.

    Raises `NobodyToLink` if these are two accounts: nobody could tell to which of them something is linked.
    """
    own = by_session = None
    found = yield from ask_application(application.who)
    if found is not None:
        try:
            own = linker.key_of(found)
        except ValueError:
            raise NobodyToLink("AppLogin.who returned what is the key of no account") from None
    if signed_in is not None:
        by_session = yield from ask_application(lambda: application.call(linker.find, signed_in.identity))
    if own is not None and by_session is not None and own != by_session:
        raise NobodyToLink("two accounts are logged in here: one by XWMS, one by the application's own login")
    return by_session if own is None else own


def ask_leave(application: Application, event: LoggedIn) -> Steps[None]:
    """Tell the application who is about to be signed in. An error in its hook ends the login.

    So does any result: a hook that returns False, or one that is a generator and was never run, has refused nobody.
    """
    answer: object = yield from ask_application(lambda: application.tell(event))
    if answer is not None:
        raise TypeError(f"the login hook returned {type(answer).__name__}: it refuses by raising NotAllowed")


def tell(application: Application | None, event: Event) -> Steps[None]:
    """Tell the application what has happened. An error in its hook is logged, and changes nothing."""
    if application is not None:
        yield from ask_application(lambda: _tell(application, event))


def tell_of(application: Application, linked: Linked, user: User) -> Steps[None]:
    """Tell the application what a login has changed in an account."""
    if linked.created:
        yield from tell(application, AccountCreated(user=user, account=linked.key))
    if linked.linked:
        yield from tell(application, AccountLinked(user=user, account=linked.key))
    if linked.email_before is not None and user.email is not None:
        changed = EmailChanged(user=user, account=linked.key, before=linked.email_before, after=user.email)
        yield from tell(application, changed)


def _tell(application: Application, event: Event) -> object:
    try:
        result = application.tell(event)
    except Exception as error:  # noqa: BLE001  any of the application's
        _log(error)
        return None
    return _awaited(cast("Awaitable[object]", result)) if isinstance(result, Awaitable) else None


async def _awaited(result: Awaitable[object]) -> None:
    try:
        await result
    except Exception as error:  # noqa: BLE001  as above
        _log(error)


def _log(error: Exception) -> None:
    """Log an error of a hook, without its message, which may quote anything."""
    failed = internal_error(error)
    events.warning("hook_failed", cause=failed.cause)
