"""Fixtures for tests of the picture mirror: a server on loopback, the internet that leads to it, and a mirror."""

import pytest

from tests.pictures.picture_servers import Internet, PictureServer, Trap
from xwms_auth.accounts.pictures import FolderStorage, PictureMirror


@pytest.fixture
def server():
    server = PictureServer()
    yield server
    server.close()


@pytest.fixture
def trap():
    trap = Trap()
    yield trap
    trap.close()


@pytest.fixture
def internet(server):
    return Internet(server.port)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "avatars"


@pytest.fixture
def make_mirror(folder, internet):
    """Make a mirror that may use plain http, since the server speaks it: `make_mirror(side=64)`."""

    def make(**options):
        options = {"insecure_allow_http": True, "insecure_network_for_tests": internet} | options
        return PictureMirror(FolderStorage(folder), **options)

    return make


@pytest.fixture
def mirror(make_mirror):
    return make_mirror()
