"""Redis under trio, which redis-py does not know, and with a redis-py that is too old."""

import pytest
from starlette.testclient import TestClient

from tests.tools.redis_server import redis_server
from tests.tools.site import PROGRAM, Browser, Site
from xwms_auth import ConfigError


def test_people_log_in_on_trio(tmp_path, fx):
    with redis_server(tmp_path) as server:
        site = Site("asgi", fx, session_store=server.url)
        with TestClient(site.app, base_url=site.origin, follow_redirects=False, backend="trio") as client:
            browser = Browser(client, site)
            browser.log_in(sub="17")
            assert browser.who() == "17"
            server.kill()
            assert browser.get("/who", PROGRAM).json()["code"] == "store_unavailable"
            server.start()
            browser.log_in(sub="18")
            assert browser.who() == "18"
            browser.log_out()
            assert browser.who() is None


def test_a_redis_py_that_is_too_old_is_named_with_its_version(tmp_path, monkeypatch, fx, edge):
    folder = tmp_path / "redis-4.6.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: redis\nVersion: 4.6.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        ConfigError, match=r"redis-py 5\.0\.8 or newer, and 4\.6\.0 is installed: pip install --upgrade"
    ):
        Site(edge, fx, session_store="redis://localhost:6379/0")
