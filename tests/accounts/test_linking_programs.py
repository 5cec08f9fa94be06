"""The programs of benchmarks/linking that are ours do what they are counted for. The others' need their packages."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Engine, create_engine, event, select, update
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from benchmarks.linking import by_hand_flask, count, with_linker_fastapi, with_linker_flask
from tests.accounts.members_apps import ORIGIN, Visitor
from tests.tools.site import CALLBACK
from xwms_auth import XWMSConfig

ADA = {"name": "Ada Lovelace", "email": "ada@example.org", "email_verified": True}


class Running(NamedTuple):
    """A program, its database, and its table of members."""

    visitor: Callable[[], Visitor]
    engine: Engine
    member: Any

    def rows(self) -> list[tuple[Any, ...]]:
        columns = self.member.__table__.c
        with self.engine.begin() as connection:
            return [tuple(row) for row in connection.execute(select(columns.id, columns.name, columns.email))]

    def block(self) -> None:
        with self.engine.begin() as connection:
            connection.execute(update(self.member.__table__).values(blocked=True))


@pytest.fixture
def make_running(fx: Any, tmp_path: Any) -> Callable[[str], Running]:
    path = tmp_path / "members.sqlite3"
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    config = XWMSConfig(**fx.options(redirect_uris=f"{ORIGIN}{CALLBACK}"))

    def of_fastapi() -> Running:
        ours = create_async_engine(f"sqlite+aiosqlite:///{path}", poolclass=NullPool)
        app = with_linker_fastapi.create_app(ours, config)
        with Visitor(app, "fastapi", fx).client:
            pass  # the lifespan creates the tables
        return Running(lambda: Visitor(app, "fastapi", fx), engine, with_linker_fastapi.Member)

    def make(name: str) -> Running:
        if name == "fastapi":
            return of_fastapi()
        program: Any = {"by hand": by_hand_flask, "flask": with_linker_flask}[name]
        app = program.create_app(engine, config)
        return Running(lambda: Visitor(app, "flask", fx), engine, program.Member)

    return make


@pytest.fixture(params=["by hand", "flask", "fastapi"])
def program(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def seen(visitor: Visitor) -> str:
    return (visitor.account() or "nobody").strip('"')  # FastAPI answers with JSON


def test_a_first_login_creates_the_member_and_the_next_one_finds_it(program, make_running):
    running = make_running(program)
    first, again = running.visitor(), running.visitor()
    first.log_in("1001", **ADA)
    assert seen(first) == "1 Ada Lovelace"
    assert running.rows() == [(1, "Ada Lovelace", "ada@example.org")]
    again.log_in("1001", name="Ada King", email="mallory@example.org", email_verified=False)
    assert seen(again) == "1 Ada King"
    assert running.rows() == [(1, "Ada King", "ada@example.org")]


def test_another_person_with_the_same_address_is_another_member(program, make_running):
    running = make_running(program)
    for sub in ("1001", "1002"):
        visitor = running.visitor()
        visitor.log_in(sub, **ADA)
        assert seen(visitor).endswith("Ada Lovelace")
    assert len(running.rows()) == 2


def test_a_blocked_member_is_out_at_once_and_stays_out(program, make_running):
    running = make_running(program)
    visitor, again = running.visitor(), running.visitor()
    visitor.log_in("1001", **ADA)
    assert seen(visitor) == "1 Ada Lovelace"
    running.block()
    assert visitor.get("/account").status_code == 403
    refused = again.log_in("1001", **ADA)
    # By hand there is nothing at the login that could refuse: the pages do.
    assert refused.status_code == (303 if program == "by hand" else 403)
    assert again.get("/account").status_code in (302, 403)


def test_by_hand_an_older_session_brings_its_name_back_and_with_a_linker_it_does_not(program, make_running):
    """What the table says of them."""
    running = make_running(program)
    older, newer = running.visitor(), running.visitor()
    older.log_in("1001", **ADA)
    newer.log_in("1001", **{**ADA, "name": "Ada King"})
    assert seen(newer) == "1 Ada King"
    assert seen(older) == ("1 Ada Lovelace" if program == "by hand" else "1 Ada King")


def test_first_requests_at_once_make_one_member(make_running):
    """By hand; that of the linkers is in test_parallel_first_logins.py."""
    running = make_running("by hand")
    visitors = [running.visitor() for _ in range(6)]
    for visitor in visitors:
        visitor.log_in("1001", **ADA)
    none_is_there = Barrier(len(visitors), timeout=20)

    def wait(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO members "):
            none_is_there.wait()

    event.listen(running.engine, "before_cursor_execute", wait)
    with ThreadPoolExecutor(len(visitors)) as pool:
        assert set(pool.map(seen, visitors)) == {"1 Ada Lovelace"}
    assert running.rows() == [(1, "Ada Lovelace", "ada@example.org")]


# How they are counted.


def test_only_lines_of_code_within_the_blocks_count():
    source = """'''Words.'''
import one
# --- linking
# why

x = f(
    1,
)
def g():
    '''Words
    on two lines.'''
    import two
    return x
# --- end
y = 2
"""
    assert count.count(source) == (5, 6)


@pytest.mark.parametrize("source", ["# --- linking\nx = 1\n", "x = 1\n# --- end\n", "# --- linking\n# --- linking\n"])
def test_a_block_that_is_not_closed_is_an_error(source):
    with pytest.raises(ValueError, match="---"):
        count.count(source)


def test_every_program_is_in_the_table(capsys):
    count.main()
    rows = re.findall(r"^\| .+ \| (\d+) \| (\d+) \| .+ \| .+ \|$", capsys.readouterr().out, re.MULTILINE)
    assert len(rows) == len(count.PROGRAMS)
    assert all(0 < int(linking) < int(total) for linking, total in rows)
    programs = {path.name for path in count.HERE.glob("*.py")} - {"__init__.py", "count.py"}
    assert programs == {program.file for program in count.PROGRAMS}
