"""Several processes over one SQLite file: forks, four that write at once, and the moment in which the file is made.

Knows: what processes of one machine do to a file.
Must not: pretend any of it.
"""

from pathlib import Path

import pytest

from tests.stores.alone import WITH_A_FILE, run_alone


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "sessions.sqlite3"


def test_a_process_that_forks_after_use_shares_the_file_and_no_connection(path):
    """SL-14"""
    code = """
    store = open_one()
    handle = create(store)
    for sub in ("a", "b", "c"):
        create(store, sub)

    def work(number):
        assert told(store.load, handle) == "1001"
        mine = [create(store, f"child-{number}") for _ in range(30)]
        assert {told(store.load, one) for one in mine} == {f"child-{number}"}
        store.drop(mine[0], why=None, now=NOW)
        assert len(store.list(session(f"child-{number}").user.identity, now=NOW)) == 29

    in_children(2, work)
    assert told(store.load, handle) == "1001"
    print(*[len(store.list(session(f"child-{number}").user.identity, now=NOW)) for number in range(2)])
    store.close()
    import sqlite3
    print(sqlite3.connect(sys.argv[1]).execute("PRAGMA integrity_check").fetchone()[0])
    """
    assert run_alone(WITH_A_FILE + code, str(path)).split() == ["29", "29", "ok"]


def test_four_processes_that_write_at_once_lose_nothing(path):
    """SL-14: each begins, renews and ends sessions of its own; all of them are right in the end."""
    code = """
    def insist(ask, *values, **named):
        while (found := told(ask, *values, **named)) == "down":
            pass
        return found

    def work(number):
        store, handles = open_one(), []
        for turn in range(60):
            handles.append(insist(store.create, session(f"sub-{number}"), until=NOW + DAY))
            insist(store.renew, handles[-1], session(f"sub-{number}"), until=NOW + DAY)
            if turn % 3 == 0:
                insist(store.drop, handles.pop(), why=None)
        assert {told(store.load, handle) for handle in handles} == {f"sub-{number}"}
        assert len(store.list(session(f"sub-{number}").user.identity, now=NOW)) == len(handles) == 40

    in_children(4, work)
    print(*[len(open_one().list(session(f"sub-{number}").user.identity, now=NOW)) for number in range(4)])
    """
    assert run_alone(WITH_A_FILE + code, str(path)).split() == ["40"] * 4


def test_processes_that_come_to_a_new_file_at_the_same_moment_wait_for_each_other(tmp_path):
    """A server starts its workers at once, and the first of their logins may come at once too."""
    code = """
    import time
    folder = Path(sys.argv[1])
    for round in range(12):
        sys.argv[1] = folder / f"{round}.sqlite3"
        ready, go = os.pipe(), os.pipe()

        def work(number):
            store = open_one()
            os.write(ready[1], b"r")
            os.close(go[1])
            os.read(go[0], 1)
            began = time.monotonic()
            if told(store.create, session(), until=NOW + DAY) == "down":
                assert time.monotonic() - began > 0.4, "refused without having waited"

        pids = []
        for number in range(4):
            pid = os.fork()
            if pid == 0:
                try:
                    work(number)
                except BaseException as error:
                    sys.stderr.write(repr(error))
                    os._exit(1)
                os._exit(0)
            pids.append(pid)
        for _ in pids:
            os.read(ready[0], 1)
        for end in (go[1], *ready, go[0]):
            os.close(end)
        assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * 4
    print("all waited")
    """
    assert run_alone(WITH_A_FILE + code, str(tmp_path)) == "all waited\n"


def test_nobody_else_on_the_machine_can_read_it_whatever_the_umask(path):
    code = """
    os.umask(0)
    store = open_one()
    create(store)
    print(*[oct(one.stat().st_mode & 0o777) for one in Path(sys.argv[1]).parent.iterdir()])
    """
    assert set(run_alone(WITH_A_FILE + code, str(path)).split()) == {"0o600"}


def test_a_child_that_was_forked_while_a_thread_opened_the_file_is_not_stuck(path):
    """The thread is not there in the child, and what it held would never be let go."""
    code = """
    import signal, sqlite3, threading, warnings
    warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 and later warn of just this
    store, other = open_one(), sqlite3.connect(sys.argv[1], isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")  # whoever opens the file waits here for half a second
    threads = [threading.Thread(target=told, args=(store.load, "h" * 43)) for _ in range(8)]
    for thread in threads:
        thread.start()

    def work(number):
        signal.alarm(20)
        assert told(store.load, "h" * 43) in ("down", None)
        assert told(store.create, session("a"), until=NOW + DAY) is not None

    in_children(12, work)
    for thread in threads:
        thread.join()
    print("nobody is stuck")
    """
    assert run_alone(WITH_A_FILE + code, str(path)).strip() == "nobody is stuck"
