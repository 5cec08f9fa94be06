"""The database: what survives a restart, what it never holds, and files that are not one."""

import base64
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from local_xwms import REDIRECT, SECRET, settings

from xwms_auth.sandbox import SandboxServer, clients, create_app
from xwms_auth.sandbox.data import Database, DatabaseUnusable
from xwms_auth.sandbox.faults import parse_fault

HEADERS = {"X-Client-Id": "sandbox-client", "X-Client-Secret": SECRET, "X-Client-Domain": "localhost"}


def call(server: SandboxServer, name: str, secret: str = SECRET, **body: object) -> httpx2.Response:
    return httpx2.post(f"{server.api_url}{name}", json=body, headers=HEADERS | {"X-Client-Secret": secret})


def log_in(server: SandboxServer, secret: str = SECRET, person: str = "1001") -> str:
    """Gives the callback's token, which has not been used."""
    url = call(server, "sign-token", secret, redirect_url=REDIRECT).json()["data"]["url"]
    return httpx2.post(url, data={"person": person}).headers["location"].partition("token=")[2]


def test_a_file_keeps_everything_but_the_command_line_s_secret(tmp_path):
    path = tmp_path / "xwms.db"
    with SandboxServer(settings(database=path), port=0) as server:
        token = log_in(server)
        with server.inside.database.work() as session:
            client = clients.find(session, "sandbox-client")
            client.name = "Renamed"
            kept = clients.add_secret(client, label_text="Kept", domains=client.domains, expires_at=None, now=0.0)
    other = settings(database=path, client_secret="another-secret", redirect_uris=("http://localhost:7000/cb",))
    with SandboxServer(other, port=0) as server:
        assert call(server, "sign-token", redirect_url=REDIRECT).status_code == 401
        assert call(server, "sign-token", "another-secret", redirect_url="http://localhost:7000/cb").status_code == 200
        assert call(server, "sign-token-verify", kept, token=token).json()["data"]["sub"] == "1001"
        assert call(server, "get/user/info", kept, sub="1001").status_code == 200
        assert "Renamed" in httpx2.get(f"{server.url}/").text


def test_a_memory_begins_empty_at_every_start():
    server = SandboxServer(settings(), port=0)
    with server:
        token = log_in(server)
    with server:
        assert call(server, "sign-token-verify", token=token).status_code == 401


def test_no_secret_and_no_token_is_in_the_file(tmp_path):
    path = tmp_path / "xwms.db"
    with SandboxServer(settings(database=path, callback_token="fresh", seed=True), port=0) as server:
        begun = call(server, "sign-token", redirect_url=REDIRECT).json()["data"]
        callback = httpx2.post(begun["url"], data={"person": "1001"}).headers["location"].partition("token=")[2]
        assert call(server, "sign-token-verify", token=callback).status_code == 200
        call(server, "sign-token", "a-wrong-secret-that-is-long", redirect_url=REDIRECT)
        dump = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    dump += b"".join(file.read_bytes() for file in tmp_path.iterdir())
    for clear in (SECRET, begun["token"], callback, "a-wrong-secret-that-is-long"):
        raw = clear.encode()
        for form in (
            raw,
            raw.hex().encode(),
            base64.b64encode(raw).rstrip(b"="),
            base64.urlsafe_b64encode(raw).rstrip(b"="),
        ):
            assert form not in dump
    assert b"sandbox-client" in dump  # it is the right file


def test_what_is_no_database_of_ours_is_refused_and_left_alone(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("Dear diary, this is not a database at all, and it shall stay as it is. " * 20)
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE diary (entry TEXT)")
    connection.close()
    for path, said in (
        (text, "not a database"),
        (other, "is a database of something else"),
        (tmp_path, "cannot be used"),
        (tmp_path / "nowhere" / "xwms.db", "cannot be used"),
    ):
        before = path.read_bytes() if path.is_file() else b""
        with pytest.raises(DatabaseUnusable, match=said):
            Database(path)
        assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_newer_database_is_refused(tmp_path):
    path = tmp_path / "xwms.db"
    Database(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(DatabaseUnusable, match="newer version"):
        create_app(settings(database=path))


def test_a_server_whose_database_cannot_be_used_listens_nowhere(tmp_path):
    server = SandboxServer(settings(database=tmp_path), port=0)
    with pytest.raises(DatabaseUnusable):
        server.start()
    with pytest.raises(RuntimeError):
        server.url  # noqa: B018


def test_one_token_verified_by_many_at_once_counts_once():
    with SandboxServer(settings(), port=0) as server:
        token = log_in(server)
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: call(server, "sign-token-verify", token=token).status_code, range(100)))
    assert sorted(answers) == [200] + [401] * 99


def test_two_sandboxes_on_one_machine_keep_everything_apart():
    with SandboxServer(settings(), port=0) as one, SandboxServer(settings(), port=0) as two:
        two.inside.faults.add(parse_fault("500"))
        token = log_in(one)
        two.inside.faults.clear()
        assert call(two, "sign-token-verify", token=token).status_code == 401
        assert call(one, "sign-token-verify", token=token).status_code == 200
        browser = httpx2.Client(follow_redirects=True)
        names = set()
        for server in (one, two):
            browser.get(f"{server.url}/dashboard")
            names = {cookie.name for cookie in browser.cookies.jar}
        assert len(names) == 2  # cookies ignore ports


def test_a_stopped_server_lets_go_of_answers_that_are_held_back():
    server = SandboxServer(settings(faults=("timeout:sign-token",)), port=0)
    server.start()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(call, server, "sign-token", redirect_url=REDIRECT)
        while server.inside.faults.active() and not asked.running():
            pass
        server.stop()
        with pytest.raises(httpx2.HTTPError):
            asked.result(timeout=20)
    with pytest.raises(RuntimeError):
        server.inside  # noqa: B018
