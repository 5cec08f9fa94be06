"""The state of a websocket. Whoever a guard has let in is looked at again every so often, as long as it is open.

A message is handed over only if no look is due; a timer looks where no messages come. An application whose socket has
been closed here gets what servers give it then: a disconnect where it receives, and an `OSError` where it sends.
"""

import time
from collections.abc import Awaitable
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from math import inf
from typing import NamedTuple

from ...base import events
from ...base.errors import InternalError, StoreUnavailable, XWMSError
from ...base.unexpected import internal_error
from ...config.context import Context
from ...http.urls import RedirectURI
from ...responses.login_requirement import ANY_LOGIN, LoginRequirement
from ...responses.responses import Refusal
from ..served_app import ServedApp
from .door import Door
from .messages import INTERNAL_ERROR, Message, Receive, Scope, Send, close_of, header_of, is_server_error
from .tasks import Task, ends_task, loop_here, start_task
from .timer import Timer, start_timer
from .websocket_access import End, WebSocketAccess

TRY_AGAIN_LATER = 1013
"""The close code of a socket whose session nobody could look up for a while. Registered with IANA."""

GRACE = 60
"""Seconds that a socket stays open while nobody can know whether its session still exists."""

RETRY = 10
"""Seconds until the next look during these."""

OTHER_CLOCK = 0.05
"""Seconds between two looks at a clock that is not the machine's: in a test a day may pass in a moment."""


class _Moment(NamedTuple):
    clock: float
    """By the clock of the application, which somebody may set."""

    steady: float
    """By the machine's clock that nobody sets; that of the application where it is not the machine's, as in a test."""


class WebSocketState(WebSocketAccess):
    """The `receive` and the `send` that the application gets for a websocket, and the looks at its session."""

    _is_open = False
    """Whether it has been accepted, and nothing has ended it."""

    _is_closed = False
    """Whether the socket was closed here."""

    _due = inf
    """When the next look is due, by the clock of the application."""

    _timer_due = inf
    """The same by the clock of the timer, which decides where no message comes."""

    _interval = 0
    _unknown_since: float | None = None
    """Since when nobody knows, by the clock of the timer."""

    _look_task: Task | None = None
    """The look that is under way, or the last one."""

    _look_limits = (inf, inf)
    """Since when nobody knows if it fails, and when it has taken too long, by the clock of the timer."""

    _end: Message | None = None
    """The disconnect that the application gets for a socket that was closed here."""

    _close_task: Task | None = None
    _end_is_told = False
    _kept: Message | None = None
    _timer: Timer | None = None

    def __init__(self, served: ServedApp, scope: Scope, receive: Receive, send: Send, door: Door) -> None:
        super().__init__(served, scope, receive, send, door)
        self._home = loop_here()
        self._read = self._now()
        """When the session was read by the last look that has found out who is there, or by the handshake."""

    async def look_up_nested(self, inner: ServedApp) -> None:
        self._watch()
        await super().look_up_nested(inner)

    @property
    def scopes(self) -> list[str]:
        found = super().scopes
        self._watch()
        return found

    def refusal(self, requirement: LoginRequirement = ANY_LOGIN) -> Refusal | None:
        refused = super().refusal(requirement)
        self._watch()
        return refused

    async def receive(self) -> Message:
        """The application's `receive`."""
        if self._end is None:
            message = self._kept or await self._receive()
            self._kept = None
            if message["type"] == "websocket.disconnect":
                self._stop_watching()
            elif self.served.clock() >= self._due:
                self._kept = message  # whoever gives up waiting meanwhile gets it the next time
                await self._look_again()
                self._kept = None
            if self._end is None:
                return message
        elif self._end_is_told:
            # As with servers: whoever asks again after a disconnect waits for it to come again.
            while (await self._receive())["type"] != "websocket.disconnect":
                pass
        self._end_is_told = True
        return self._end

    def send(self, message: Message) -> Awaitable[None]:
        """The application's `send`."""
        kind = message["type"]
        if kind == "websocket.send" and self.served.clock() < self._due and self.refused is None:
            return self._send(message)
        if self._started:
            return self._send(message)  # after its end: to the server, or nowhere if the end was ours
        is_end = kind in ("websocket.close", "websocket.http.response.start")
        if is_end and self._failure is not None and is_server_error(message):
            # The framework's answer to our error, which the application did not catch.
            self._refuse_for(self._failure)
        if self.refused is not None:
            return self._close(close_of(self.refused.code))
        if is_end:
            self._started = True
            self._stop_watching()
        elif kind == "websocket.accept":
            self._is_open = True
            self._watch()
        return self._send_if_in(message) if self.served.clock() >= self._due else self._send(message)

    async def _send_if_in(self, message: Message) -> None:
        await self._look_again()
        await self._send(message)

    async def release(self) -> None:
        """Close a refused websocket that was left open, and wait for a close: or else the server makes one."""
        if self.refused is not None and not self._started:
            await self._close(close_of(self.refused.code))
        if self._close_task is not None:
            await self._close_task.wait()

    async def respond_instead(self, error: Exception) -> bool:
        failure = self._failure
        if failure is not None and not self._started:
            self._refuse_for(failure)
        await self.release()
        is_ours = _is_late(error) or (failure is not None and failure.is_behind(error))
        return is_ours and self._is_closed

    def end(self) -> None:
        super().end()
        self._stop_watching()
        self._send = _late_send("the websocket has ended")

    def _watch(self) -> None:
        """Begin to look at an accepted socket once a guard has asked who it is, an interval after the handshake.

        Not after the guard: it may come late, and what it finds is as old as the handshake. Sooner where the socket has
        come to a nested application since, whose interval is shorter.
        """
        if not (self.guarded and self._is_open):
            return
        intervals = (one.context.config.websocket_recheck_seconds for one in (self.served, *self.nested))
        interval = min(filter(None, intervals), default=0)
        if interval != self._interval:
            self._interval = interval
            self._schedule(interval, since=self._read)
            self._start_timer()

    def _now(self) -> _Moment:
        now = self.served.clock()
        return _Moment(now, time.monotonic() if self.served.clock is time.time else now)

    def _schedule(self, seconds: float, *, since: _Moment) -> None:
        self._due, self._timer_due = since.clock + seconds, since.steady + seconds

    def _start_timer(self) -> None:
        if self._home != loop_here():
            # A guard that runs in a worker thread finds no loop, or one of its own.
            if self._home is not None:
                with suppress(RuntimeError):  # it has ended
                    self._home(copy_context().run, self._start_timer)
        elif self._is_open:
            if self._timer is not None:
                self._timer.stop()
            self._timer = start_timer(self._tick, self._pause())

    def _pause(self) -> float:
        """Seconds until the timer looks at its clock again."""
        return self._until_next(min(max(self._timer_due - self._now().steady, 0.0), self._interval))

    def _until_next(self, seconds: float) -> float:
        return seconds if self.served.clock is time.time else min(seconds, OTHER_CLOCK)

    async def _tick(self) -> float | None:
        # The clock of a test may have been set back, which must not put the next look off.
        if not self._timer_due - self._interval <= self._now().steady < self._timer_due:
            await self._look_again()
        return None if self._due == inf else self._pause()

    def _stop_watching(self) -> None:
        self._is_open, self._due, self._timer_due = False, inf, inf
        timer, look, self._timer, self._look_task = self._timer, self._look_task, None, None
        if timer is not None:
            timer.stop()
        if look is not None:
            look.cancel()

    async def _look_again(self) -> None:
        """Wait for the look that is under way, or for one that begins now. Without an event loop nobody else waits."""
        if self._due == inf:
            return  # the socket has ended meanwhile
        look = self._look_task
        if look is None or look.has_ended:
            began = self._now()
            since = began.steady if self._unknown_since is None else self._unknown_since
            self._look_limits = since, max(since + GRACE, began.steady + RETRY)
            look = self._look_task = start_task(partial(self._look_once, began))
            if look is None:
                await self._look_once(began)
                return
        since, until = self._look_limits
        while not look.has_ended and (left := until - self._now().steady) > 0:
            await look.wait(self._until_next(left))
        if self._look_task is look and not look.has_ended:
            look.cancel()
            await self._bear(InternalError("a look at the session has not ended"), since)

    async def _look_once(self, began: _Moment) -> None:
        try:
            end = await self.why_not()
        except BaseException as error:  # nobody can know who is there: fail closed, but not at once
            if ends_task(error):
                raise
            if self._due != inf:
                await self._bear(internal_error(error), began.steady)
            return
        if self._due == inf:
            return
        if end is not None:
            await self._end_with(end)
        else:
            # From its beginning: what it has read is as old as that.
            self._unknown_since, self._read = None, began
            self._schedule(self._interval, since=began)

    async def _bear(self, error: XWMSError, since: float) -> None:
        """Go on for a while, although an error hides whether the session still exists."""
        now = self._now()
        if self._unknown_since is None or now.steady < self._unknown_since:
            self._unknown_since = since
            events.warning("websocket_not_checked", cause=error.cause or error.code)
        left = self._unknown_since + GRACE - now.steady
        if left <= 0:
            is_down = error.status == StoreUnavailable.status
            await self._end_with(End(TRY_AGAIN_LATER if is_down else INTERNAL_ERROR, error.code))
        else:
            self._schedule(min(self._interval, RETRY, left), since=now)

    async def _end_with(self, end: End) -> None:
        self._look_task = None  # if it is what finds the end, whoever waits for it waits for the close as well
        self._end = {"type": "websocket.disconnect", "code": end.code, "reason": end.reason}
        events.info("websocket_closed", code=str(end.code), reason=end.reason, path=self.scope["path"])
        await self._close({"type": "websocket.close", "code": end.code, "reason": end.reason})

    def _close(self, message: Message) -> Awaitable[None]:
        """Send the last message. Not async: from this call on the application's messages are late."""
        self._started = self._is_closed = True
        self._stop_watching()
        send, self._send = self._send, _late_send(f"the websocket has been closed: {message['reason']}")
        work = partial(_send_last, send, message)
        # Whoever is cancelled while they wait for it takes nothing back.
        task = self._close_task = start_task(work)
        return work() if task is None else task.wait()


class WebSocketClosed(OSError):
    """Raised where an application sends to a socket that was closed here, as servers do (ASGI 2.4)."""


def _late_send(why: str) -> Send:
    """The `send` of a socket that was closed here. Whoever only sends gets no disconnect, and would never end."""

    async def send(message: Message) -> None:
        if message["type"] == "websocket.send":
            raise WebSocketClosed(why)

    return send


def _is_late(error: BaseException) -> bool:
    """Whether it only says that the application, in one task or in several, has sent too late."""
    errors: tuple[BaseException, ...] = getattr(error, "exceptions", ())  # of a group
    return all(map(_is_late, errors)) if errors else isinstance(error, WebSocketClosed)


async def _send_last(send: Send, message: Message) -> None:
    with suppress(Exception):  # the visitor has gone, and each server has errors of its own for that
        await send(message)


def is_own_websocket(context: Context, scope: Scope, uri: RedirectURI | None) -> bool:
    """Whether a websocket is opened by a page of this application or of a trusted origin (CSWSH, RFC 6455 10.2).

    The browser sends cookies whatever page opens it, and names the page's origin in `Origin`.
    """
    origin = header_of(scope, b"origin", ", ")  # two of them joined are no origin
    if not origin:
        return all(name != b"origin" for name, _ in scope["headers"])
    return uri is not None and (origin == uri.origin or context.trusts(origin))
