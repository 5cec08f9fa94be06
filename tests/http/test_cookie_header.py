"""The Cookie header is read as the plain definition says, whatever else stands in it."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from xwms_auth._core.http.messages import read_cookie

NAME = "__Host-xwms_session"
PIECES = [NAME, NAME[:-1], NAME.upper(), "=", ";", " ", "\t", "\xa0", "\x85", "\n", '"', "x", "a=b", ",", "%3D"]


def plainly(header: str) -> str | None:
    """Split at semicolons, take spaces and tabs off, and look for exactly this name; two are none."""
    parts = [part.strip(" \t") for part in header.split(";")]
    found = [part.removeprefix(NAME + "=") for part in parts if part.startswith(NAME + "=")]
    return found[0] if len(found) == 1 else None


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
@example(f"{NAME}=a; \xa0{NAME}=b")
@example(f"a=b{NAME}=c; {NAME}=d ")
@example(f"{NAME}={NAME}=x")
def test_it_is_read_as_the_plain_definition_says(header):
    assert read_cookie(header, NAME) == plainly(header)


@pytest.mark.parametrize("piece", [f"x{NAME}=", f" {NAME}", f"{' ' * 50}{NAME}=", f"={NAME}=;", ";", " "])
def test_a_long_hostile_header_is_read_in_linear_time(piece):
    """Twice as long may take a few times as long, not the square."""
    start = time.process_time()
    read_cookie(piece * (1_000_000 // len(piece)), NAME)
    assert time.process_time() - start < 2
