"""The proxies outside of a request: tools that look at every object of a module may look at ours.

`current_user` is nobody there; `current_token` has no attributes.
"""

import copy
import doctest
import gc
import inspect
import io
import pickle
import pydoc
import sys
import types
import unittest
from unittest import mock

import flask
import pytest

import xwms_auth.flask
import xwms_auth.starlette
from xwms_auth import AccessToken, Anonymous, User

PROXIES = {
    f"{door.__name__}.{name}": getattr(door, name)
    for door in (xwms_auth.flask, xwms_auth.starlette)
    for name in ("current_user", "current_token")
}


@pytest.fixture(params=PROXIES)
def proxy(request):
    return PROXIES[request.param]


@pytest.fixture
def module(proxy):
    """A module that imports a proxy, as any module of an application does."""
    made = types.ModuleType("pages", "The pages of an application.")
    made.proxy = proxy
    made.__file__ = __file__
    sys.modules["pages"] = made
    yield made
    del sys.modules["pages"]


def test_it_can_be_looked_at(proxy):
    assert not isinstance(proxy, User | AccessToken | type | types.FunctionType)
    assert inspect.isclass(proxy.__class__)
    assert repr(proxy)
    assert not proxy
    assert isinstance(inspect.getmembers(proxy), list)
    assert isinstance(dir(proxy), list)
    assert not hasattr(proxy, "no_such_attribute")
    inspect.unwrap(proxy)
    assert proxy not in [one for one in gc.get_referents(PROXIES) if isinstance(one, io.BytesIO)]


def test_tools_that_walk_through_modules_pass_by(module):
    assert doctest.DocTestFinder().find(module)
    assert unittest.defaultTestLoader.loadTestsFromModule(module).countTestCases() == 0
    assert "The pages" in pydoc.plain(pydoc.render_doc(module))
    assert inspect.getmembers(module)
    with mock.patch("pages.proxy") as patched:
        assert module.proxy is patched
    with mock.patch("pages.proxy", autospec=True) as patched:
        assert module.proxy is patched
    mock.create_autospec(module.proxy)


@pytest.mark.parametrize("user", [PROXIES["xwms_auth.flask.current_user"], PROXIES["xwms_auth.starlette.current_user"]])
def test_nobody_is_signed_in(user):
    assert isinstance(user, Anonymous)
    assert (user.is_authenticated, user.is_anonymous, user.name, user.get_id()) == (False, True, None, None)
    assert user == copy.copy(user)
    assert isinstance(hash(user), int)


def test_a_copy_of_nobody_is_nobody():
    user = xwms_auth.starlette.current_user
    assert pickle.loads(pickle.dumps(user)) == copy.deepcopy(user) == Anonymous()


def test_in_a_request_of_an_application_without_the_extension_it_says_so():
    app = flask.Flask(__name__)
    with app.test_request_context("/"), pytest.raises(RuntimeError, match="no XWMSAuth"):
        xwms_auth.flask.current_user.name  # noqa: B018
