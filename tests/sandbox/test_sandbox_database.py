"""What a local XWMS remembers: in a file over a restart, in memory no longer than it runs, and secrets never."""

import base64
import socket
import sqlite3
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import pytest

from tests.sandbox.local_xwms import NOON, REDIRECT, SECRET, LocalXWMS, settings, written
from xwms_auth.cli.ports import any_free
from xwms_auth.sandbox import SandboxServer, create_app
from xwms_auth.sandbox.db import Database, DatabaseUnusable
from xwms_auth.sandbox.db.schema import VERSION
from xwms_auth.sandbox.domain import api_log, client_secrets, clients

SCOPES = ("userinfo", "useraddresses")
HOME = {"street": "Dorpsstraat", "city": "Utrecht", "country": "NL"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "xwms.db"


def status(xwms: LocalXWMS, **headers: str) -> int:
    return xwms.call("global/countries", {}, **headers).status_code


def log(xwms: LocalXWMS) -> list[tuple[str, int]]:
    """The calls of the sandbox's own client, the latest first."""
    with xwms.work() as session:
        client = clients.find(session, "sandbox-client")
        assert client is not None
        return [(call.endpoint, call.status) for call in api_log.calls_of(session, client, limit=1000)]


# --- a restart --------------------------------------------------------------------------------------------------------


def test_a_file_survives_a_restart(make_xwms, path):
    first = make_xwms(database=path, scopes=SCOPES)
    first.log_in("1001", *SCOPES)
    created = first.call("user/address", {"sub": "1001", "action": "create", "address": HOME}).json["data"]["address"]
    waiting = first.sign_token()["token"]
    first.choose(waiting, person="1001")
    other_id, other_secret = first.another_client()
    with first.client() as client:
        client.name = "Shop"
        client.redirect_uris[1].active = False
        client.domains[0].fallback_uri = "https://app.example/sorry"
    before = log(first)
    first.close()

    second = make_xwms(database=path)  # scopes that were enabled stay enabled
    assert log(second) == before
    assert second.verify(waiting).json["data"]["sub"] == "1001"
    told = second.call("get/user/info", {"sub": "1001"}).json["data"]["user"]
    assert told["birth_date"] == "1990-04-27"
    assert second.call("get/user/address", {"sub": "1001"}).json["data"] == {"addresses": [created]}
    credentials = {"X_Client_Id": other_id, "X_Client_Secret": other_secret, "X_Client_Domain": "other.example"}
    assert status(second, **credentials) == 200
    with second.client() as client:
        assert client.name == "Shop"
        assert [known.active for known in client.redirect_uris] == [True, False]
        assert client.domains[0].fallback_uri == "https://app.example/sorry"


def test_a_restart_replaces_the_secret_of_the_command_line_and_no_other(make_xwms, path):
    first = make_xwms(database=path)
    with first.client() as client:
        further = client_secrets.add_secret(client, label_text="CI", domains=client.domains, expires_at=None, now=NOON)
    first.close()
    second = make_xwms(database=path, client_secret="the-secret-of-the-second-start")
    assert status(second) == 401
    assert status(second, X_Client_Secret="the-secret-of-the-second-start") == 200
    assert status(second, X_Client_Secret=further) == 200


def test_a_restart_adds_what_is_new_in_the_settings_and_takes_nothing_away(make_xwms, path):
    make_xwms(database=path, scopes=("userinfo",)).close()
    uri = "http://localhost:7000/callback"
    second = make_xwms(database=path, domain="App.Example", redirect_uris=(uri,), scopes=("useraddresses",))
    with second.client() as client:
        assert [domain.root_domain for domain in client.domains] == ["localhost", "App.Example"]
        assert [known.uri for known in client.redirect_uris] == [REDIRECT, "https://app.example/callback", uri]
        assert {held.scope for held in client.scopes} == set(SCOPES)
        assert len(client.secrets) == 1
    assert status(second) == status(second, X_Client_Domain="App.Example") == 200
    assert status(second, X_Client_Domain="app.example") == 403


def test_another_client_id_makes_another_client_beside_the_first(make_xwms, path):
    make_xwms(database=path).close()
    make_xwms(database=path, client_id="second", client_secret="second-secret").close()
    third = make_xwms(database=path, client_id="third", client_secret="third-secret")
    for client_id, secret in (("sandbox-client", SECRET), ("second", "second-secret"), ("third", "third-secret")):
        assert status(third, X_Client_Id=client_id, X_Client_Secret=secret) == 200


def test_a_client_id_that_is_already_somebody_s_name_is_no_obstacle(make_xwms, path):
    first = make_xwms(database=path)
    with first.client() as client:
        client.name = "next"
    first.close()
    make_xwms(database=path, client_id="one").close()  # takes the name that is free again
    assert status(make_xwms(database=path, client_id="next"), X_Client_Id="next") == 200


def test_people_and_the_demo_account_are_added_once(make_xwms, path):
    def page() -> str:
        xwms = make_xwms(database=path, seed=True)
        text = xwms.http.get(f"/sign-in/{xwms.sign_token()['token']}").text + xwms.http.get("/").text
        xwms.close()
        return text

    once, twice = page(), page()
    assert once == twice
    assert once.count(">Anna de Vries<") == once.count("<h2>Web shop") == 1


@pytest.mark.parametrize("name", ["with space.db", "what?cache=shared", "100%.db", "#1.db", "é.db"])
def test_a_file_may_have_any_name(make_xwms, tmp_path, name):
    make_xwms(database=tmp_path / name).close()
    assert [found.name for found in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).stat().st_size > 0


def test_a_server_with_a_file_goes_on_where_it_stopped_and_one_with_memory_begins_again(path):
    for database, remembered in ((path, True), (None, False)):
        server = SandboxServer(settings(database=database), port=0)
        with server, server.inside.database.work() as session:
            client = clients.find(session, "sandbox-client")
            assert client is not None
            client.name = "Shop"
        with server, server.inside.database.work() as session:
            client = clients.find(session, "sandbox-client")
            assert client is not None
            assert (client.name == "Shop") is remembered


def test_a_call_that_fails_in_the_middle_leaves_its_line_in_the_log_and_nothing_else(xwms):
    xwms.log_in("1001")
    xwms.enable_scopes(*SCOPES)
    xwms.log_in("1001", *SCOPES)
    bodies = ({"street": "New", "city": None}, {"city": "Assen", "country": "XX"})
    made = xwms.call("user/address", {"sub": "1001", "action": "create", "address": HOME}).json["data"]["address"]
    for body in bodies:
        sent = {"sub": "1001", "action": "update", "address_id": made["id"], "address": body}
        assert xwms.call("user/address", sent).status_code == 422
    assert log(xwms)[:2] == [("user/address", 422)] * 2
    assert xwms.call("get/user/address", {"sub": "1001"}).json["data"]["addresses"] == [made]


def test_an_exception_undoes_a_unit_of_work(xwms):
    def fail_half_way() -> None:
        with xwms.client() as client:
            client.name = "Never"
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    with xwms.client() as client:
        assert client.name != "Never"


# --- files that are not ours ------------------------------------------------------------------------------------------


def something_else(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("CREATE TABLE notes (text TEXT)")
        other.execute("INSERT INTO notes VALUES ('mine')")


def marked_by_another_application(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("PRAGMA application_id = 42")


def of_a_newer_version(path: Path) -> None:
    Database(path).close()
    with closing(sqlite3.connect(path)) as newer, newer:
        newer.execute(f"PRAGMA user_version = {VERSION + 1}")
        newer.execute("PRAGMA journal_mode = DELETE")


def no_database(path: Path) -> None:
    path.write_text("Dear diary, " * 1000)


def half_a_database(path: Path) -> None:
    Database(path).close()
    path.write_bytes(path.read_bytes()[:1000])


UNUSABLE: list[tuple[Callable[[Path], None], str]] = [
    (something_else, "is a database of another application."),
    (marked_by_another_application, "is a database of another application."),
    (of_a_newer_version, f"was created by a newer version of xwms-auth (tables {VERSION + 1}, known here {VERSION})."),
    (no_database, "cannot be used as a database: file is not a database."),
    (half_a_database, "cannot be used as a database: database disk image is malformed."),
]


@pytest.mark.parametrize(("make", "sentence"), UNUSABLE, ids=lambda value: getattr(value, "__name__", ""))
def test_a_file_that_is_not_ours_is_refused_in_a_sentence_and_left_as_it_was(path, make, sentence):
    make(path)
    before = path.read_bytes()
    with pytest.raises(DatabaseUnusable) as caught:
        create_app(settings(database=path))
    assert str(caught.value) == f"{path} {sentence}"
    assert path.read_bytes() == before
    assert [found.name for found in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("name", [".", "nowhere/xwms.db", "file/xwms.db"])
def test_a_place_where_no_file_can_be_is_refused_in_a_sentence(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseUnusable) as caught:
        create_app(settings(database=tmp_path / name))
    assert str(caught.value) == f"{tmp_path / name} cannot be used as a database: unable to open database file."
    assert [found.name for found in tmp_path.iterdir()] == ["file"]


def test_an_empty_file_is_taken(make_xwms, path):
    path.touch()
    assert status(make_xwms(database=path)) == 200


def test_a_server_that_cannot_use_its_file_leaves_its_port_free(tmp_path):
    port = any_free()
    server = SandboxServer(settings(database=tmp_path), port=port)
    with pytest.raises(DatabaseUnusable):
        server.start()
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.inside
    server.stop()
    with socket.create_server(("127.0.0.1", port)):
        pass


# --- what the file holds ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("callback_token", ["same", "fresh"])
def test_no_secret_and_no_token_is_in_the_file_or_in_its_log(make_xwms, path, callback_token):
    xwms = make_xwms(database=path, callback_token=callback_token, scopes=SCOPES, seed=True)
    _, other_secret = xwms.another_client()
    with xwms.client() as client:
        further = client_secrets.add_secret(client, label_text="CI", domains=client.domains, expires_at=None, now=NOON)
        regenerated = client_secrets.regenerate(client.secrets[1], revision=1, now=NOON)
    begun, chosen, spent = (xwms.sign_token()["token"] for _ in range(3))
    callback = {
        token: xwms.choose(token, person="1001", scope=list(SCOPES)).headers["Location"].rpartition("=")[2]
        for token in (chosen, spent)
    }
    assert xwms.verify(callback[spent]).status_code == 200
    wrong = "the-secret-of-another-environment-of-the-app"
    held = [wrong, SECRET, other_secret, further, regenerated, begun, *callback, *callback.values()]
    for value in held:  # and whoever mixes up headers and fields does not write it down either
        xwms.verify("unknown", X_Client_Domain=value)
        xwms.verify("unknown", X_Client_Secret=value)
        xwms.verify("unknown", X_Client_Id=value, X_Client_Domain=value)
        xwms.call("sign-token", {"redirect_url": value})
        xwms.call("get/user/info", {"sub": value})
        xwms.call("user/address", {"sub": "1001", "action": value, value: value})

    log_ahead = path.with_name(f"{path.name}-wal")
    open_dump = path.read_bytes() + log_ahead.read_bytes()
    xwms.close()
    assert not log_ahead.exists()
    for dump in (open_dump, path.read_bytes()):
        assert b"sandbox-client" in dump
        assert b"anna@example.com" in dump
        for value in held:
            assert [form for form in written(value) if form in dump] == []


def test_a_dump_would_show_what_is_kept_in_clear():
    # The test above is worth nothing if its search cannot find.
    for text in (b"..%s..", b"%s"):
        assert any(form in text % base64.b64encode(b"ab" + SECRET.encode()) for form in written(SECRET))
        assert any(form in text % SECRET.encode().hex().encode() for form in written(SECRET))
        assert any(form in text % SECRET.encode() for form in written(SECRET))


# --- many at once -----------------------------------------------------------------------------------------------------


def test_of_200_who_redeem_a_token_at_once_one_succeeds(make_xwms, path):
    xwms = make_xwms(database=path)
    token = xwms.sign_token()["token"]
    xwms.choose(token)
    at_once = Barrier(20)

    def verify(_: int) -> int:
        at_once.wait(timeout=30)
        http = xwms.app.test_client()
        return http.post("/api/sign-token-verify", json={"token": token}, headers=xwms.headers).status_code

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(verify, range(200)))
    assert sorted(answers) == [200] + [401] * 199
    assert sorted(log(xwms)[:200]) == [("sign-token-verify", 200)] + [("sign-token-verify", 401)] * 199


def test_two_processes_may_share_a_file(make_xwms, path):
    first, second = make_xwms(database=path), make_xwms(database=path)
    tokens = [xwms.sign_token()["token"] for xwms in (first, second, first, second)]
    for token in tokens:
        assert first.choose(token).status_code == 303
        assert second.choose(token).status_code == 410
        assert second.verify(token).status_code == 200
        assert first.verify(token).status_code == 401


def test_only_so_many_sign_ins_are_kept(xwms, monkeypatch):
    monkeypatch.setattr("xwms_auth.sandbox.domain.sign_ins.MAX_SIGN_INS", 5)
    tokens = [xwms.sign_token()["token"] for _ in range(12)]
    assert [xwms.choose(token).status_code for token in tokens] == [404] * 7 + [303] * 5
    assert [xwms.verify(token).status_code for token in tokens] == [401] * 7 + [200] * 5


# --- who may read it --------------------------------------------------------------------------------------------------


def modes(path: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.glob("xwms.db*")}


def test_sm_18_a_file_that_others_could_read_is_closed_to_them(make_xwms, path):
    """SM-18"""
    Database(path).close()
    path.chmod(0o664)
    with closing(sqlite3.connect(path)) as other:  # another program that has it open, so that its log stays
        other.execute("BEGIN IMMEDIATE")
        other.rollback()
        for file in path.parent.glob("xwms.db*"):
            file.chmod(0o644)
        make_xwms(database=path)
        assert len(modes(path)) == 3
        assert set(modes(path).values()) == {0o600}


def test_sm_18_where_that_cannot_be_done_a_warning_says_so(make_xwms, path, monkeypatch, caplog):
    """SM-18"""
    Database(path).close()
    path.chmod(0o644)

    def refused(self: Path, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refused)
    make_xwms(database=path)
    assert f"others may be able to read {path}" in caplog.text


def test_a_file_of_something_else_keeps_its_mode(path):
    path.write_text("a letter")
    path.chmod(0o644)
    with pytest.raises(DatabaseUnusable):
        Database(path)
    assert modes(path) == {"xwms.db": 0o644}
