"""The example applications as a test loads them: by file, as often as it likes, with a clock it can move.

Knows: where the examples are, and how each is given a clock.
Must not: know a page of theirs, or start a server.
"""

import importlib.util
import logging
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

import xwms_auth.fastapi
import xwms_auth.flask
import xwms_auth.starlette
from tests.tools.clock import Clock

EXAMPLES: Final = Path(__file__).parents[2] / "examples"
FOLDERS: Final = ("flask_app", "starlette_app")
"""Those with pages, which are alike."""


def load(folder: str, monkeypatch: pytest.MonkeyPatch, *, clock: Clock) -> ModuleType:
    """The module `app` of an example, made anew; it reads the environment as it does when it is started."""
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)  # it is the whole process's
    monkeypatch.setattr(xwms_auth.flask, "XWMSAuth", partial(xwms_auth.flask.XWMSAuth, clock=clock))
    middleware = partial(xwms_auth.starlette.XWMSAuthMiddleware, clock=clock)
    monkeypatch.setattr(xwms_auth.starlette, "XWMSAuthMiddleware", middleware)
    monkeypatch.setattr(xwms_auth.fastapi, "XWMSAuthMiddleware", middleware)
    name = f"example_{folder}"
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / folder / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)  # Flask and SQLAlchemy look their module up by name
    spec.loader.exec_module(module)
    return module
