"""A filter that removes tokens, codes with their state, and hints about people from the access logs of servers.

Such a line is written after the token was used, but logs are kept for a long time. Setting up the package adds the
filter to the loggers of the Python servers, unless `redact_access_logs` is off. For a server whose logger has another
name, add it yourself:

    logging.getLogger("my.access").addFilter(WithoutTokens())

The servers pass the request in the arguments of the log record, as text or in a mapping. The filter never raises, and
never changes a line that is not about a callback. It creates no logger while the application may still set up logging.
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
"""Loggers that log URLs of requests. `gunicorn.error` does so if a worker fails during a request."""

_SECRET_PARAMETERS = frozenset(("token", "code", "state", "login_hint"))

# A fast check for every line: gunicorn's mappings have a hundred values.
_PLAIN = ("token=", "code=", "state=", "login_hint=")
_ESCAPED = re.compile(r"%[0-9A-Fa-f]{2}[^\s&=]*=")
# A path with a query, alone or in a URL: the target of a request line, a Referer.
_WITH_QUERY = re.compile(r"""([^\s"'?]*)\?([^\s"]*)""")
_BARE_QUERY = re.compile(r"[^\s=&?/]+=[^\s\"]*")
_ORIGIN = re.compile(r"[^/]*://[^/]*")
_BREAKS = re.compile(r"[\s\"']+")


# The methods of dict itself, for subclasses that override them.
_DICT_ITEMS: Callable[[dict[str, Any]], Iterable[tuple[str, Any]]] = dict[str, Any].items
_DICT_SET: Callable[[dict[str, Any], str, Any], None] = dict[str, Any].__setitem__


class WithoutTokens(logging.Filter):
    """Replaces the values of `token`, `code`, `state` and `login_hint` with … in the URLs of an access log."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record and let it through."""
        args = record.args
        if isinstance(args, Mapping):
            record.args = self._redacted_mapping(args)
        elif args:
            if self._is_concerned(args):
                record.args = tuple(map(self._redacted, args))
        elif self._is_concerned((record.msg,)):
            # The line was formatted before logging. A format string with arguments is left alone: a placeholder may
            # follow its "token=".
            record.msg = self._redacted(record.msg)
        return True

    def is_callback(self, path: str) -> bool:
        """Whether the query of this path is to be redacted."""
        return True

    def is_about_callback(self, values: Sequence[object]) -> bool:
        """Whether a line with these values is about a request to such a path, or from it."""
        return True

    def _is_concerned(self, values: Sequence[object]) -> bool:
        text = "\n".join([value for value in values if isinstance(value, str)])
        suspect = any(name in text for name in _PLAIN) or ("%" in text and _ESCAPED.search(text) is not None)
        return suspect and self.is_about_callback(values)

    def _redacted_mapping(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        as_dict = args if isinstance(args, dict) else None
        try:
            # The stored items of a dict, even if its class overrides lookups.
            items: Iterable[tuple[str, Any]] = args.items() if as_dict is None else _DICT_ITEMS(as_dict)
            if not self._is_concerned([value for _, value in items]):
                return args
            if as_dict is not None:
                # The copy has the same class, which returns "-" for a missing name in gunicorn and hypercorn. With a
                # plain dict such a line would be an error, and logging's report of that contains every header.
                redacted = copy.copy(as_dict)
                for name, value in items:
                    _DICT_SET(redacted, name, self._redacted(value))
                return redacted
        except (copy.Error, TypeError, ValueError, AttributeError, LookupError):
            pass  # a class that cannot be iterated or copied
        return _RedactedView(args, self._redacted)

    def _redacted(self, value: object) -> object:
        if not isinstance(value, str):
            return value
        if _BARE_QUERY.fullmatch(value):
            # gunicorn, hypercorn and granian also pass the query by itself.
            return _redacted_query(value)
        return _WITH_QUERY.sub(self._redacted_url, value)

    def _redacted_url(self, match: re.Match[str]) -> str:
        url, query = match.groups()
        return f"{url}?{_redacted_query(query)}" if self.is_callback(_path_of(url)) else match[0]


class _RedactedView(Mapping[str, Any]):
    """A redacted view of a mapping that cannot be copied."""

    def __init__(self, args: Mapping[str, Any], redact_value: Callable[[object], object]) -> None:
        self._args = args
        self._redact_value = redact_value

    def __getitem__(self, name: str) -> Any:
        return self._redact_value(self._args[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._args)

    def __len__(self) -> int:
        return len(self._args)


class _CallbackFilter(WithoutTokens):
    """The one filter of this process, for the callbacks of all its applications."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._contexts: tuple[weakref.ref[Context], ...] = ()

    def add_context(self, context: Context) -> None:
        """Redact the callbacks of this context too, as long as it is referenced elsewhere."""
        with self._lock:
            self._contexts = (*(known for known in self._contexts if known() is not None), weakref.ref(context))

    def add_to(self, names: Iterable[str]) -> None:
        """Add the filter to these loggers, once each."""
        for logger in map(logging.getLogger, names):
            if self not in logger.filters:
                with self._lock:
                    logger.addFilter(self)

    def is_about_callback(self, values: Sequence[object]) -> bool:
        return any(self.is_callback(path) for value in values if isinstance(value, str) for path in _paths(value))

    def is_callback(self, path: str) -> bool:
        segments = _segments(path)
        return any(
            _is_same_path(segments, _segments_of(callback))
            for known in self._contexts
            if (context := known()) is not None
            for callback in (*context.config.callback_paths, context.config.login_path)
        )


_FILTER = _CallbackFilter()


def redact(context: Context) -> None:
    """Redact the callbacks of this context in the access log. Called when the application is set up.

    Only existing loggers get the filter now: a logger created here would be disabled by a later `dictConfig` of the
    application, which disables existing loggers.
    """
    if context.config.redact_access_logs:
        _FILTER.add_context(context)
        _FILTER.add_to(
            name for name in LOGGERS if isinstance(logging.root.manager.loggerDict.get(name), logging.Logger)
        )


def redact_coming(context: Context) -> None:
    """The same during a request: its line is logged afterwards, and the loggers may have been reconfigured since."""
    if context.config.redact_access_logs:
        _FILTER.add_to(LOGGERS)


def _paths(text: str) -> Iterator[str]:
    """All parts of a text that may be the path of a request."""
    return (_path_of(word.partition("?")[0]) for word in _BREAKS.split(text) if "/" in word)


def _path_of(url: str) -> str:
    return _ORIGIN.sub("", url, count=1)


def _segments(path: str) -> list[str]:
    # As lenient as any server or proxy that may route the path to a callback.
    parts = (part.partition(";")[0] for part in unquote(path).split("/"))
    return [part for part in parts if part not in ("", ".")]


_segments_of = lru_cache(maxsize=64)(_segments)
"""The cached version, for the few callback paths."""


def _is_same_path(path: list[str], callback: list[str]) -> bool:
    """Whether a path is that of a callback, with any prefix, or without a prefix that a proxy has removed."""
    length = min(len(path), len(callback))
    return path[-length:] == callback[-length:] if length else path == callback


def _redacted_query(query: str) -> str:
    return "&".join(map(_redacted_parameter, query.split("&")))


def _redacted_parameter(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    return f"{name}=…" if equals and unquote_plus(name) in _SECRET_PARAMETERS else pair
