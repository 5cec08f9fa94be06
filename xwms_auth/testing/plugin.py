"""The pytest plugin: the fixture `xwms`, and settings for applications that are made when their module is imported.

Silent where nothing uses it: without settings in the environment it provides some while the tests are collected, and
takes them away again unless a test uses the fixture. `xwms_settings = false` in pytest's configuration turns that off.
Must not import anything of the package before a test uses it: pytest imports this module in every run.
"""

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from . import environment

if TYPE_CHECKING:
    from . import LocalXWMS

SETTINGS = "xwms_settings"

_take_away = pytest.StashKey[Callable[[], None]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of pytest's configuration."""
    told = "provide XWMS settings while tests are collected, and for tests with the fixture xwms (default: true)"
    parser.addini(SETTINGS, told, type="bool", default=True)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Provide settings before any module of the tests is imported."""
    _provide(early_config)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Provide settings if the plugin was loaded late, by a conftest."""
    _provide(config)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Take the settings away if no test needs them."""
    if not any("xwms" in getattr(item, "fixturenames", ()) for item in session.items):
        _restore(session.config)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Take the settings away."""
    _restore(config)


def _provide(config: pytest.Config) -> None:
    if _take_away in config.stash or not config.getini(SETTINGS):
        return
    environment.put(environment.inherited(os.environ))
    if wanted := environment.absent(os.environ):
        config.stash[_take_away] = environment.put(wanted)


def _restore(config: pytest.Config) -> None:
    take_away = config.stash.get(_take_away, None)
    if take_away is not None:
        del config.stash[_take_away]
        take_away()


@pytest.fixture
def xwms() -> "Iterator[LocalXWMS]":
    """An XWMS inside this process: signs people in to the application under test, without a network."""
    from . import local_xwms  # noqa: PLC0415  loaded by the first test that needs it

    with local_xwms() as xwms:
        yield xwms
