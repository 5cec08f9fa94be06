"""A PostgreSQL of a test run's own: on a Unix socket, with nothing written to the disk for sure.

Knows: the programs initdb and postgres of Debian's package, which refuse to run as root.
Must not: touch a PostgreSQL that is there already.
"""

import os
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.tools.requires import missing

DEBIAN = Path("/usr/lib/postgresql")
FAST = ("fsync", "full_page_writes")


def programs() -> Path | None:
    """The folder of the newest installed version; None if there is none."""
    found = [path.parent for path in DEBIAN.glob("*/bin/initdb")]
    if found:
        return max(found, key=lambda path: float(path.parent.name))
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


class PostgresServer:
    """`url("psycopg")` is for the config; the user `app` in it is no superuser and owns the database.

    `stop` and `kill` are what happens to servers, and `move` is a server that is reached elsewhere from now on.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self.data = folder, folder / "data"
        self._bin = programs() or missing("the program initdb (Debian: postgresql)")
        self._user = _user() if os.getuid() == 0 else None
        self.socket = folder / "here"
        self.address = folder / "address"
        self._process: subprocess.Popen[bytes] | None = None
        self._paused: list[int] = []

    def create(self) -> None:
        for path in (self.socket, self.socket.with_name("there")):
            path.mkdir()
        if self._user is not None:
            for path in (self._folder, *self._folder.iterdir()):
                os.chown(path, self._user, -1)
        self.address.symlink_to(self.socket)
        command = [self._bin / "initdb", "-D", self.data, "-A", "trust", "-U", "postgres", "-E", "UTF8"]
        subprocess.run(
            [*command, "--no-sync", "--locale=C"], user=self._user, check=True, capture_output=True, cwd=self._folder
        )
        self.start()
        self.admin("CREATE ROLE app LOGIN")
        self.admin("CREATE DATABASE app OWNER app")

    def create_tables(self) -> None:
        from sqlalchemy import create_engine

        from xwms_auth.stores.sqlalchemy import metadata

        engine = create_engine(self.url("psycopg"))
        metadata.create_all(engine)
        engine.dispose()

    def start(self) -> None:
        import psycopg

        options = [f"--{name}=off" for name in FAST]
        command = [self._bin / "postgres", "-D", self.data, "-k", self.socket, "-c", "listen_addresses=", *options]
        self._process = subprocess.Popen(
            command, user=self._user, cwd=self._folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(20_000):
            assert self._process.poll() is None, "postgres ended at once"
            try:
                self.admin("SELECT 1")
            except psycopg.OperationalError:
                continue  # asked again at once: connecting is the waiting
            return
        raise AssertionError("postgres does not answer")

    def stop(self) -> None:
        """Ends as an operator ends it."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Ends as a machine that fails: all of its processes at once, as its connections would still be answered."""
        processes = [pid for (pid,) in self.admin("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()")]
        descriptors: list[int] = []
        for pid in processes:
            with suppress(ProcessLookupError):
                descriptors.append(os.pidfd_open(pid))
        self._end(signal.SIGKILL)
        for descriptor in descriptors:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            select.select([descriptor], [], [], 20)
            os.close(descriptor)

    def pause(self) -> None:
        """Stalls: what is connected gets no answer, and nobody else does either."""
        assert self._process is not None
        found = self.admin("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'")
        self._paused = [self._process.pid, *(pid for (pid,) in found)]
        for pid in self._paused:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        for pid in self._paused:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(20)
            self._process = None

    def move(self) -> None:
        """Go on at another address; whoever asks for the name finds the new one."""
        self.stop()
        self.socket = self.socket.with_name("there" if self.socket.name == "here" else "here")
        self.start()
        self.address.unlink()
        self.address.symlink_to(self.socket)

    def url(self, driver: str, *, user: str = "app") -> str:
        return f"postgresql+{driver}://{user}@/app?host={self.address}"

    def admin(self, sql: str, *, database: str = "postgres") -> list[Any]:
        """What the superuser may do."""
        with self.connect(database=database, user="postgres", autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def connect(self, *, database: str = "app", user: str = "app", autocommit: bool = False) -> Any:
        import psycopg

        return psycopg.connect(host=str(self.socket), dbname=database, user=user, autocommit=autocommit)

    def close(self) -> None:
        self._end(signal.SIGQUIT)


def _user() -> int:
    import pwd

    try:
        return pwd.getpwnam("postgres").pw_uid
    except KeyError:
        missing("the user postgres, since root may not run PostgreSQL,")


def size_of_tables(url: str) -> int:
    """Bytes of the tables of the store, with their indexes."""
    from sqlalchemy import create_engine, text

    engine = create_engine(url)
    with engine.connect() as connection:
        sizes = "pg_total_relation_size('xwms_sessions') + pg_total_relation_size('xwms_marks')"
        found = connection.scalar(text(f"SELECT {sizes}"))
    engine.dispose()
    return int(found or 0)


def can_run() -> bool:
    """Whether there is a PostgreSQL on this machine, and what a store in it needs."""
    return programs() is not None and find_spec("psycopg") is not None


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A running one, with the tables of the store."""
    for package in ("psycopg", "asyncpg"):
        if find_spec(package) is None:
            missing(f"the package {package}")
    # Not in pytest's folder: only its owner may enter that, and the path of a socket has to be short.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        server = PostgresServer(folder)
        try:
            server.create()
            server.create_tables()
            yield server
        finally:
            server.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
