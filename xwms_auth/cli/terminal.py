"""What the commands print: errors, notes, and what they are doing where it takes longer than a second.

Colours are on a terminal only, and `NO_COLOR` turns them off there too.
"""

import logging
import os
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import IO, Any, Final

import click

_PATIENCE: Final = 1.0
"""Seconds after which somebody wonders what is going on."""


class Failure(click.ClickException):
    """The command cannot go on: exit status 1, and one line that says why and what to do next."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it to standard error."""
        error(self.format_message(), file=file)


def error(message: str, *, file: IO[Any] | None = None) -> None:
    """Print an error, which need not be the end."""
    click.echo(f"{style('Error:', fg='red')} {message}", err=True, file=file)


def note(message: str) -> None:
    """Print what is good to know."""
    click.echo(f"{style('Note:', fg='yellow')} {message}", err=True)


def warning(message: str) -> None:
    """Print what will go wrong elsewhere, such as in production."""
    click.echo(f"{style('Warning:', fg='yellow')} {message}", err=True)


def printable(text: str) -> str:
    """The text with escapes for what a terminal would obey, or not show: names and answers come from others."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode() for char in text
    )


def print_log(name: str, line: str) -> None:
    """Print what this logger says from INFO on, each record as a line in this format. No other logger is changed."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(line, datefmt="%H:%M:%S"))
    log = logging.getLogger(name)
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


def style(text: str, **how: Any) -> str:
    """The text with a colour, or bold; click takes it away where the output is not a terminal."""
    return text if os.environ.get("NO_COLOR") else click.style(text, **how)


@contextmanager
def progress(doing: str) -> Generator[None]:
    """Say what is being done if the block takes longer than a second, and somebody looks on."""
    if not sys.stderr.isatty():
        yield
        return
    timer = threading.Timer(_PATIENCE, click.echo, (f"{doing} ...",), {"err": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
