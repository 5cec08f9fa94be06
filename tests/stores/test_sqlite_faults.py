"""A real SQLite file that fails: locked, read-only, full, gone, junk.

Knows: what happens to files, and what may be asked of a store.
Must not: pretend any of it.
"""

import asyncio
import sqlite3
import subprocess
import threading
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from tests.stores.alone import WITH_A_FILE, run_alone
from tests.stores.conftest import opened
from tests.stores.questions import HANDLE, READS, WRITES, begin, require_down, sub_of
from tests.tools.requires import missing, program
from xwms_auth import StoreUnavailable
from xwms_auth.testing.harness import StoreHarness
from xwms_auth.testing.store_contract import DAY, NOW, person, session, tokens


@pytest.fixture
def path(tmp_path) -> Path:
    folder = tmp_path / "sessions"
    folder.mkdir()
    return folder / "sessions.sqlite3"


BEFORE_LOGINS = """
CREATE TABLE sessions (
    client TEXT NOT NULL, key TEXT NOT NULL, person TEXT NOT NULL, until INTEGER NOT NULL,
    record BLOB, ended TEXT,
    PRIMARY KEY (client, key)
) WITHOUT ROWID;
CREATE INDEX sessions_of_a_person ON sessions (client, person);
CREATE INDEX sessions_by_time ON sessions (until);
CREATE TABLE marks (
    client TEXT NOT NULL, name TEXT NOT NULL, until INTEGER NOT NULL, value INTEGER NOT NULL,
    PRIMARY KEY (client, name)
) WITHOUT ROWID;
CREATE INDEX marks_by_time ON marks (until);
PRAGMA user_version = 1;
PRAGMA journal_mode = WAL;
"""


def files_of(path: Path) -> list[Path]:
    """The file and those that SQLite keeps beside it."""
    return sorted(path.parent.glob(f"{path.name}*"))


def remove_all(path: Path) -> None:
    for one in files_of(path):
        one.unlink()


def remove_the_file_alone(path: Path) -> None:
    path.unlink()


def rows(path: Path, table: str) -> int:
    reader = sqlite3.connect(path)
    try:
        return int(reader.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    finally:
        reader.close()


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
class TestAFileThatFails(StoreHarness):
    def store(self, path: Path, *, is_async: bool) -> Any:
        return self.opened(opened(session_store=f"sqlite:///{path}", is_async=is_async))

    def test_a_locked_one_goes_on_knowing_who_is_there_and_refuses_the_rest(self, path, is_async, monkeypatch):
        """SL-11"""
        monkeypatch.setattr("xwms_auth.stores.sqlite.BUSY_TIMEOUT", 0.05)
        store = self.store(path, is_async=is_async)
        handle = begin(self, store)
        other = sqlite3.connect(path, isolation_level=None)
        try:
            other.execute("BEGIN EXCLUSIVE")
            assert sub_of(self, store, handle) == "1001"
            require_down(self, store, WRITES)
            assert sub_of(self, store, handle) == "1001"
            other.execute("COMMIT")
            assert self.ask(store.renew(handle, session(), until=NOW + DAY, now=NOW)) == handle
            self.ask(store.drop(handle, why=None, now=NOW))
            assert sub_of(self, store, handle) is None
        finally:
            other.close()

    def test_one_that_another_keeps_for_itself_is_down_until_it_is_let_go(self, path, is_async, monkeypatch):
        """SL-11"""
        monkeypatch.setattr("xwms_auth.stores.sqlite.BUSY_TIMEOUT", 0.05)
        first = self.store(path, is_async=False)
        handle = begin(self, first)
        first.close()
        other = sqlite3.connect(path, isolation_level=None)
        store = self.store(path, is_async=is_async)
        try:
            other.execute("PRAGMA locking_mode = EXCLUSIVE")
            other.execute("BEGIN EXCLUSIVE")
            require_down(self, store, READS)
        finally:
            other.close()
        assert sub_of(self, store, handle) == "1001"

    def test_a_folder_that_vanished_is_down_until_it_is_back(self, path, is_async):
        """SL-11: connections that are still open to what was there do not count."""
        store = self.store(path, is_async=is_async)
        handle = begin(self, store)
        elsewhere = path.parent.rename(path.parent.with_name("elsewhere"))
        require_down(self, store)
        elsewhere.rename(path.parent)
        assert sub_of(self, store, handle) == "1001"
        assert sub_of(self, store, begin(self, store)) == "1001"

    @pytest.mark.parametrize("remove", [remove_all, remove_the_file_alone])
    def test_a_file_that_was_deleted_holds_nobody_any_more(self, path, is_async, remove):
        """SL-04: not in a process that has it open either: the two would no longer hear of each other's ends."""
        store, other = self.store(path, is_async=is_async), self.store(path, is_async=False)
        handle = begin(self, store)
        assert sub_of(self, other, handle) == "1001"
        remove(path)
        assert sub_of(self, store, handle) is None
        assert sub_of(self, other, handle) is None
        newer = begin(self, store)
        assert sub_of(self, other, newer) == "1001"
        self.ask(other.drop(newer, why=None, now=NOW))
        assert sub_of(self, store, newer) is None

    def test_junk_in_its_place_is_down_and_left_alone(self, path, is_async):
        """SL-11: text, noise, and a good beginning."""
        store = self.store(path, is_async=is_async)
        handle = begin(self, store)
        for junk in (
            b"not a database\n" * 100,
            bytes(range(255, -1, -1)) * 32,
            b"SQLite format 3\x00" + b"\xff" * 5000,
        ):
            store.close()
            kept = path.rename(path.with_name("kept"))
            path.write_bytes(junk)
            require_down(self, store)
            assert path.read_bytes() == junk
            kept.replace(path)
            assert sub_of(self, store, handle) == "1001", junk[:20]

    def test_junk_over_an_open_file_is_never_taken_for_a_visitor_without_a_session(self, path, is_async):
        """SL-11"""
        store = self.store(path, is_async=is_async)
        handle = begin(self, store)
        path.write_bytes(b"junk" * (path.stat().st_size // 4))
        with suppress(StoreUnavailable):
            assert sub_of(self, store, handle) == "1001"

    def test_a_folder_in_its_place_is_down(self, path, is_async):
        store = self.store(path, is_async=is_async)
        path.mkdir()
        require_down(self, store)

    @pytest.mark.parametrize("version", [2, 1], ids=["a newer version", "our version without our tables"])
    def test_a_file_of_another_program_is_down_and_left_alone(self, path, is_async, version):
        """SL-11"""
        other = sqlite3.connect(path)
        other.execute("CREATE TABLE theirs (what TEXT)")
        other.execute(f"PRAGMA user_version = {version}")
        other.commit()
        other.close()
        before = path.read_bytes()
        require_down(self, self.store(path, is_async=is_async))
        assert path.read_bytes() == before

    def test_a_file_from_before_there_were_logins_is_used_on_and_what_wrote_it_can_use_it_too(self, path, is_async):
        old = sqlite3.connect(path)
        old.executescript(BEFORE_LOGINS)
        store = self.store(path, is_async=is_async)
        kept = replace(session(), tokens=replace(tokens(0), sid="a"))
        assert self.ask(store.list_login("a", issuer=person().issuer, now=NOW)) == []
        old.execute("INSERT INTO sessions (client, key, person, until) VALUES ('c', 'k', 'p', 5)")
        old.commit()
        handle = self.ask(store.create(kept, until=NOW + DAY, now=NOW))
        assert sub_of(self, store, handle) == "1001"
        assert len(self.ask(store.list_login("a", issuer=person().issuer, now=NOW))) == 1
        assert old.execute("PRAGMA user_version").fetchone() == (1,)
        old.close()

    def test_expired_sessions_and_used_logins_go_as_fast_as_new_ones_can_come(self, path, is_async):
        """SL-16: a thousand at a time."""
        store = self.store(path, is_async=is_async)
        over, alive = begin(self, store), self.ask(store.create(session(), until=NOW + 9 * DAY, now=NOW))
        with sqlite3.connect(path) as writer:
            writer.execute(
                "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 20000) INSERT INTO sessions"
                " SELECT client, key || x, person, until, record, ended, login FROM sessions, n WHERE until = ?",
                (NOW + DAY,),
            )
        writer.close()
        assert rows(path, "sessions") == 20_002
        at = NOW + 2 * DAY
        for second in range(30):
            self.ask(store.create(session(), until=at + DAY, now=at + second))
        assert rows(path, "sessions") == 31
        assert self.ask(store.load(over, now=at)) is None
        assert self.ask(store.load(alive, now=at)) is not None

    def test_used_logins_of_sessions_in_cookies_do_not_pile_up(self, path, is_async):
        """SL-16"""
        store = self.opened(opened(revocation_store=f"sqlite:///{path}", is_async=is_async))
        for number in range(300):
            assert self.ask(store.claim(f"login-{number}", until=NOW + 600, now=NOW))
        assert rows(path, "marks") == 300
        assert self.ask(store.claim("login", until=NOW + DAY, now=NOW + 700))
        assert rows(path, "marks") == 1


@pytest.mark.usefixtures("short_store_timeouts")
class TestAsyncCodeOverALockedFile(StoreHarness):
    def test_a_write_that_waits_holds_up_nobody_who_reads(self, path):
        store = self.opened(opened(session_store=f"sqlite:///{path}", is_async=True))
        handle = begin(self, store)
        other = sqlite3.connect(path, isolation_level=None)
        finished: list[str] = []

        async def noted(name: str, asked: Any) -> Any:
            try:
                return await asked if isinstance(asked, Awaitable) else asked
            finally:
                finished.append(name)

        async def story() -> list[Any]:
            writing = asyncio.ensure_future(noted("write", store.drop(HANDLE, why=None, now=NOW)))
            await asyncio.sleep(0)
            read = [await noted("read", store.load(handle, now=NOW)) for _ in range(50)]
            return [*read, await asyncio.gather(writing, return_exceptions=True)]

        try:
            other.execute("BEGIN EXCLUSIVE")
            *read, (written,) = self.ask(story())
        finally:
            other.close()
        assert {one.user.sub for one in read} == {"1001"}
        assert isinstance(written, StoreUnavailable)
        assert finished == ["read"] * 50 + ["write"]


def test_a_file_of_somebody_elses_is_down_and_never_a_visitor_without_a_session(tmp_path):
    """SL-11: whoever may read it knows who is there and refuses the rest; whoever may not is told nothing."""
    code = """
    import shutil, tempfile
    root = Path(tempfile.mkdtemp())
    sys.argv[1:] = [root / "sessions.sqlite3"]
    path = sys.argv[1]

    def as_a_stranger(ask):
        # Root may do everything, so it becomes somebody else for a moment.
        if os.geteuid() != 0:
            return ask()
        os.seteuid(65534)
        try:
            return ask()
        finally:
            os.seteuid(0)

    def modes(folder, file):
        for one in root.iterdir():
            one.chmod(file)
        root.chmod(folder)

    try:
        owner, stranger = open_one(), open_one()
        handle = create(owner)
        modes(0o555, 0o600 if os.geteuid() == 0 else 0o000)
        print(as_a_stranger(lambda: told(stranger.load, handle)))
        modes(0o555, 0o444)
        print(as_a_stranger(lambda: told(stranger.load, handle)))
        for ask in (
            lambda: told(stranger.create, session(), until=NOW + DAY),
            lambda: told(stranger.renew, handle, session(), until=NOW + DAY),
            lambda: told(stranger.drop, handle, why=None),
            lambda: told(stranger.claim, "login", until=NOW + DAY),
        ):
            print(as_a_stranger(ask))
        stranger.close()
        modes(0o777, 0o666)
        owner.close()
        modes(0o555, 0o444)
        print(as_a_stranger(lambda: told(stranger.load, handle)) in ("1001", "down"))
        modes(0o000, 0o444)
        print(as_a_stranger(lambda: told(stranger.load, handle)))
        modes(0o777, 0o666)
        print(as_a_stranger(lambda: told(stranger.load, handle)))
        print(as_a_stranger(lambda: told(stranger.renew, handle, session(), until=NOW + DAY)) == handle)
    finally:
        root.chmod(0o777)
        shutil.rmtree(root)
    """
    got = run_alone(WITH_A_FILE + code).split()
    assert got == ["down", "1001", *["down"] * 4, "True", "down", "1001", "True"]


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
def test_a_disk_that_was_read_only_for_a_while_needs_no_restart(is_async):
    """SL-11: connections that were opened meanwhile cannot write, and nor can new ones beside them."""
    code = """
    import asyncio, shutil, subprocess, tempfile
    from inspect import isawaitable

    root = Path(tempfile.mkdtemp())
    file, is_async = root / "sessions.sqlite3", sys.argv[1] == "True"
    store = opened(session_store=f"sqlite:///{file}", is_async=is_async)

    def as_a_stranger(ask):
        if os.geteuid() != 0:  # root may write everywhere, so it becomes somebody else for a moment
            return ask()
        os.seteuid(65534)
        try:
            return ask()
        finally:
            os.seteuid(0)

    async def tell(ask, *values, **named):
        try:
            found = ask(*values, **named, now=NOW)
            found = await found if isawaitable(found) else found
        except StoreUnavailable:
            return "down"
        return found.user.sub if hasattr(found, "user") else found

    runner = asyncio.Runner()

    def told(*asked, **named):
        return as_a_stranger(lambda: runner.run(tell(*asked, **named)))

    def modes(mode):
        for one in root.iterdir():
            one.chmod(mode)

    root.chmod(0o777)
    handle = runner.run(tell(store.create, session(), until=NOW + DAY))
    holds = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('SELECT * FROM marks').fetchall()"
    other = subprocess.Popen(
        [sys.executable, "-c", f"{holds}; print(flush=True); sys.stdin.read()", file],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )
    try:
        other.stdout.readline()
        store.close()
        modes(0o444)
        print(told(store.load, handle), told(store.claim, "one", until=NOW + DAY), told(store.load, handle))
        modes(0o666)
        print(told(store.claim, "two", until=NOW + DAY), told(store.load, handle))
    finally:
        store.close()
        other.communicate()
        shutil.rmtree(root)
        runner.close()
    """
    got = run_alone(WITH_A_FILE + code, str(is_async)).split()
    assert got == ["1001", "down", "1001", "True", "1001"]


def test_a_full_disk_refuses_logins_and_goes_on_knowing_who_is_there(tmp_path):
    """SL-11"""
    mount = 'mount -t tmpfs -o size=512k none "$0" && exec "$@"'
    small = [program("unshare"), "--map-root-user", "--mount", "sh", "-c", mount, str(tmp_path)]
    if subprocess.run([*small, "true"], capture_output=True, check=False).returncode != 0:
        missing("a file system of one's own (unshare --map-root-user --mount)")
    code = """
    path = Path(sys.argv[1])
    store = open_one()
    handles = {f"sub-{number}": create(store, f"sub-{number}") for number in range(20)}
    ballast = path.with_name("ballast")
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 512):
                pass
        except OSError:
            pass
    begun, outcome = {}, None
    for number in range(5000):
        outcome = told(store.create, session(f"late-{number}"), until=NOW + DAY)
        if outcome == "down":
            break
        begun[f"late-{number}"] = outcome
    print(outcome)
    print(told(store.drop, handles["sub-0"], why=None))
    print([told(store.load, handle) for handle in {**handles, **begun}.values()] == [*handles, *begun])
    ballast.unlink()
    print(told(store.drop, handles["sub-0"], why=None), told(store.load, handles["sub-0"]))
    print(told(store.load, create(store, "new")))
    """
    got = run_alone(WITH_A_FILE + code, str(tmp_path / "sessions.sqlite3"), before=small).split()
    assert got == ["down", "down", "True", "None", "None", "new"]


def test_an_application_that_is_busy_with_all_its_threads_keeps_no_login_waiting(tmp_path):
    """Starlette runs plain endpoints in forty threads; the store's own writes are not among them."""
    store = opened(is_async=True, session_store=f"sqlite:///{tmp_path / 'sessions.sqlite3'}")

    async def story() -> str:
        begun: list[None] = []
        done = threading.Event()

        def endpoint() -> None:
            begun.append(None)
            done.wait(20)

        async with anyio.create_task_group() as group:
            for _ in range(40):
                group.start_soon(anyio.to_thread.run_sync, endpoint)
            while len(begun) < 40:
                await anyio.sleep(0.01)
            try:
                with anyio.fail_after(10):
                    return await store.create(session(), until=NOW + DAY, now=NOW)
            finally:
                done.set()

    assert anyio.run(story)
