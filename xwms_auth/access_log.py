"""Access logs of servers without what a callback's address carries: a token, or a code and its state.

By the time such a line is written the token has been used, but a log lives longer than a mistake. Setting the package
up puts a filter on the loggers that servers in Python write their lines to, unless `redact_access_logs` is off. A
server with a logger of another name takes one of its own:

    logging.getLogger("my.access").addFilter(WithoutTokens())

Knows: how these servers hand a request to the logger: among the arguments of the record, as text or in a mapping.
Must not: touch a line that names no callback, make a logger where an application may still set up its logging, or fail.
"""

import copy
import logging
import re
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, unquote_plus

from ._core.config.context import Context

LOGGERS = ("werkzeug", "uvicorn.access", "gunicorn.access", "gunicorn.error", "hypercorn.access", "granian.access")
"""Who writes a request's address down. `gunicorn.error` does where a worker fails in the middle of one."""

_SECRET = frozenset(("token", "code", "state"))

# Cheap to ask of every line: gunicorn's mappings have a hundred values.
_PLAIN = ("token=", "code=", "state=")
_ESCAPED = re.compile(r"%[0-9A-Fa-f]{2}[^\s&=]*=")
# A path with a query, alone or in an address: a request line's target, a Referer.
_WITH_QUERY = re.compile(r"""([^\s"'?]*)\?([^\s"]*)""")
_BARE_QUERY = re.compile(r"[^\s=&?/]+=[^\s\"]*")
_ORIGIN = re.compile(r"[^/]*://[^/]*")
_BREAKS = re.compile(r"[\s\"']+")


# Not what a class of its own makes of them.
_STORED: Callable[[dict[str, Any]], Iterable[tuple[str, Any]]] = dict[str, Any].items
_STORE: Callable[[dict[str, Any], str, Any], None] = dict[str, Any].__setitem__


class WithoutTokens(logging.Filter):
    """Puts … in place of the values of `token`, `code` and `state` in the addresses of an access log's lines."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record, and let it through."""
        given = record.args
        if isinstance(given, Mapping):
            record.args = self._mapping(given)
        elif given:
            if self._is_concerned(given):
                record.args = tuple(map(self._shortened, given))
        elif self._is_concerned((record.msg,)):
            # Whoever writes the whole line alone leaves no arguments. A format with arguments is not looked at: what
            # follows a "token=" there may be a place for one.
            record.msg = self._shortened(record.msg)
        return True

    def is_callback(self, path: str) -> bool:
        """Whether the values in this path's query are to be left out."""
        return True

    def is_about_callback(self, values: Sequence[object]) -> bool:
        """Whether a line with these values is about a request to, or from, such a path."""
        return True

    def _is_concerned(self, values: Sequence[object]) -> bool:
        text = "\n".join([value for value in values if isinstance(value, str)])
        suspect = any(name in text for name in _PLAIN) or ("%" in text and _ESCAPED.search(text) is not None)
        return suspect and self.is_about_callback(values)

    def _mapping(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        plain = given if isinstance(given, dict) else None
        try:
            # Of a dict what is stored, whatever its class makes of a lookup.
            items: Iterable[tuple[str, Any]] = given.items() if plain is None else _STORED(plain)
            if not self._is_concerned([value for _, value in items]):
                return given
            if plain is not None:
                # Its own class says what a missing name means: gunicorn's and hypercorn's say "-". With a plain dict
                # in its place such a line became an error, and logging's report of that has every header in it.
                made = copy.copy(plain)
                for name, value in items:
                    _STORE(made, name, self._shortened(value))
                return made
        except (copy.Error, TypeError, ValueError, AttributeError, LookupError):
            pass  # of a class that cannot be walked through, or copied
        return _Shortening(given, self._shortened)

    def _shortened(self, value: object) -> object:
        if not isinstance(value, str):
            return value
        if _BARE_QUERY.fullmatch(value):
            # gunicorn, hypercorn and granian have the query by itself too.
            return _without_values(value)
        return _WITH_QUERY.sub(self._shortened_address, value)

    def _shortened_address(self, found: re.Match[str]) -> str:
        address, query = found.groups()
        return f"{address}?{_without_values(query)}" if self.is_callback(_path_of(address)) else found[0]


class _Shortening(Mapping[str, Any]):
    """A mapping of a class that nobody can copy, seen through the filter."""

    def __init__(self, given: Mapping[str, Any], shortened: Callable[[object], object]) -> None:
        self._given = given
        self._shortened = shortened

    def __getitem__(self, name: str) -> Any:
        return self._shortened(self._given[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)


class _OfSites(WithoutTokens):
    """The one filter of this process, for the callbacks of all applications that live in it."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._sites: tuple[weakref.ref[Context], ...] = ()

    def serve(self, context: Context) -> None:
        """Leave out this site's values too, for as long as somebody else keeps it."""
        with self._lock:
            self._sites = (*(known for known in self._sites if known() is not None), weakref.ref(context))

    def put_on(self, names: Iterable[str]) -> None:
        """Filter these loggers, once each."""
        for logger in map(logging.getLogger, names):
            if self not in logger.filters:
                with self._lock:
                    logger.addFilter(self)

    def is_about_callback(self, values: Sequence[object]) -> bool:
        return any(self.is_callback(path) for value in values if isinstance(value, str) for path in _paths(value))

    def is_callback(self, path: str) -> bool:
        segments = _segments(path)
        return any(
            _are_one(segments, _segments_of(callback))
            for known in self._sites
            if (context := known()) is not None
            for callback in context.config.callback_paths
        )


_FILTER = _OfSites()


def redact(context: Context) -> None:
    """Keep the values of this site's callbacks out of the access log, where the site is set up.

    Only loggers that are there get the filter now: one that is made here would be switched off by the application's
    own `dictConfig`, which comes later and disables what exists.
    """
    if context.config.redact_access_logs:
        _FILTER.serve(context)
        _FILTER.put_on(
            name for name in LOGGERS if isinstance(logging.root.manager.loggerDict.get(name), logging.Logger)
        )


def redact_coming(context: Context) -> None:
    """The same when a request has come: its line is written after it, whatever was done to the loggers meanwhile."""
    if context.config.redact_access_logs:
        _FILTER.put_on(LOGGERS)


def _paths(text: str) -> Iterator[str]:
    """Whatever may be a request's path in a text."""
    return (_path_of(word.partition("?")[0]) for word in _BREAKS.split(text) if "/" in word)


def _path_of(address: str) -> str:
    return _ORIGIN.sub("", address, count=1)


def _segments(path: str) -> list[str]:
    # As loosely as any server or proxy may read a path on its way to a callback.
    parts = (part.partition(";")[0] for part in unquote(path).split("/"))
    return [part for part in parts if part not in ("", ".")]


_segments_of = lru_cache(maxsize=64)(_segments)
"""For callbacks, of which there are few."""


def _are_one(path: list[str], callback: list[str]) -> bool:
    """Whether a path is a callback's: with any prefix before it, or without the one that a proxy has taken off."""
    length = min(len(path), len(callback))
    return path[-length:] == callback[-length:] if length else path == callback


def _without_values(query: str) -> str:
    return "&".join(map(_without_value, query.split("&")))


def _without_value(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    return f"{name}=…" if equals and unquote_plus(name) in _SECRET else pair
