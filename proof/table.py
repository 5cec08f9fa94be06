#!/usr/bin/env python3
"""Run the models in every mode: `proof/table.py [quick] [GROUP ...]`; the groups are the keys of `TABLES`.

Prints Markdown tables, and exits 1 where a result is not the expected one.

`quick` runs a selection of less than a minute. `T=600` in the environment gives each run so many seconds of a
processor, `TRACES=1` prints every trace to standard error.
"""

import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHECK = Path(__file__).with_name("check.sh")
SAFE = "CLAIM=0"  # V never in A's session, and A never in V's
NOT_THE_VICTIM, NOT_THE_ATTACKER = "CLAIM=2", "CLAIM=1"  # what A must not become; what V must not become
QUIET = "FRAME=1 ASYNC=2 SILENT=1"  # without a race, a flood, or a click of V's
BEFORE = "R1=0 R2=0 R3=0 R4=0 R5=0 NEXT=0 BACK=9 ENDS=0 PAIR=0 EXACT=0"

ONE, TWO, CLAIMS, ALL = "NP=1", "NP=2", "NP=2 SH=1", "NP=2 SH=1 ISH=1"
PLACES = {
    ONE: "one process",
    TWO: "two processes that share nothing",
    CLAIMS: "two processes that share claims",
    ALL: "two processes that share a store",
}
MODES = {
    "MODE=1 CLICK=1": "`same`",
    "MODE=3 L0=1 CLICK=1": "`either`, has learned",
    "MODE=3": "`either`, may learn, no click",
    "MODE=3 X=1": "`either`, XWMS sends a new token, no click",
    "MODE=2 X=1": "`fresh`, no click",
}
HOLDS, TRACE = "holds", "trace"
TELLING = {"TELL": os.environ.get("TRACES", "0")}


@dataclass(frozen=True, slots=True)
class Run:
    """One run of check.sh, and what it is expected to give."""

    what: str
    switches: str
    expected: str
    quick: bool = False


def as_built() -> Iterator[Run]:
    for mode, name in MODES.items():
        for place, where in PLACES.items():
            if place != TWO:
                yield Run(
                    f"{name}; {where}; with a flood", f"{mode} {place} {QUIET} FLOOD=1 {SAFE}", HOLDS, place == ONE
                )
            else:
                yield Run(f"{name}; {where}", f"{mode} {place} {QUIET} {SAFE}", HOLDS)
    yield Run("a login is given back once only", f"MODE=3 L0=1 CLICK=1 {ALL} {QUIET} BACK=1 {SAFE}", HOLDS)
    yield Run("`same`, three logins", f"MODE=1 NL=3 N=3 {ONE} FRAME=1 {SAFE}", HOLDS)
    yield Run("`same`, XWMS sends a new token: nobody gets in", f"MODE=1 X=1 CLICK=1 {ONE} {QUIET} {SAFE}", HOLDS)
    yield Run("a token has one try before it is approved", f"MODE=3 {CLAIMS} CLAIM=5 POLLS=1", HOLDS)
    yield Run("one's own start is not evicted", "MODE=1 N=1 CLICK=2 CLAIM=6 CAUSE=2", HOLDS, quick=True)
    yield Run("an unknown token ends no login of one's own", "MODE=1 CLICK=1 CLAIM=6 CAUSE=1", HOLDS, quick=True)
    yield Run("what was learned costs nobody a login", "MODE=3 X=2 CLICK=1 CLAIM=4 LOST=1", HOLDS)


def what_remains() -> Iterator[Run]:
    for mode, name in list(MODES.items())[:3]:
        yield Run(f"{name}: the race", f"{mode} {ALL} RACE=1 {NOT_THE_VICTIM}", TRACE, quick=mode == "MODE=1 CLICK=1")
        yield Run(f"{name}; {PLACES[TWO]}: a flood", f"{mode} {TWO} FLOOD=1 {NOT_THE_VICTIM}", TRACE)
    yield Run("`fresh`: the race", f"MODE=2 X=1 {ALL} RACE=1 CLICK=1 {NOT_THE_VICTIM}", HOLDS)
    for mode, place in (("MODE=3", TWO), ("MODE=3 X=1", ALL), ("MODE=2 X=1", ALL)):
        name = f"{MODES[mode].removesuffix(', no click')}; {PLACES[place]}"
        for how, said in (("CLICK=1", "a click"), ("MAIL=1", "a link from a mail"), ("SILENT=2", "a script's form")):
            yield Run(f"{name}: {said}", f"{mode} {place} {how} {NOT_THE_ATTACKER}", TRACE)
        yield Run(f"{name}: a click, as the victim", f"{mode} {place} {QUIET} CLICK=1 {NOT_THE_VICTIM}", HOLDS)
    yield Run(f"`either`, may learn; {PLACES[ALL]}: a click", f"MODE=3 {ALL} {QUIET} CLICK=1 {SAFE}", HOLDS)
    for x, said in ((2, "both tokens work"), (3, "both tokens work, one uses both up")):
        for mode, name in (("MODE=1", "`same`"), ("MODE=3", "`either`"), ("MODE=2", "`fresh`")):
            yield Run(
                f"{name}, at XWMS {said}",
                f"{mode} X={x} {ONE} {NOT_THE_VICTIM}",
                TRACE if x == 2 and mode != "MODE=2" else HOLDS,
            )


def without() -> Iterator[Run]:
    yield Run("R1=0: what was tried here is not spent", f"MODE=1 {ALL} R1=0 {NOT_THE_VICTIM}", TRACE, quick=True)
    yield Run("R1=1: redeeming or spending claims", f"MODE=1 {ONE} ASYNC=2 R1=1 {NOT_THE_VICTIM}", TRACE, quick=True)
    yield Run("R1=3: a refusal gives the try back", f"MODE=3 {CLAIMS} R1=3 CLAIM=5 POLLS=1", TRACE, quick=True)
    yield Run("R1=4: no copy is recognised", f"MODE=1 {ONE} ASYNC=1 COPY=1 CLICK=1 R1=4 CLAIM=6 CAUSE=5", TRACE)
    yield Run("R2=0: a frame only marks", f"MODE=1 {TWO} FRAME=1 R2=0 {NOT_THE_VICTIM}", TRACE, quick=True)
    yield Run("R2=1: a frame spends what matches none", f"MODE=3 L0=1 {TWO} FRAME=1 R2=1 {NOT_THE_VICTIM}", TRACE)
    yield Run("R3=0: nothing is learned", f"MODE=3 L0=1 CLICK=1 {TWO} R3=0 {NOT_THE_ATTACKER}", TRACE, quick=True)
    for r3 in (1, 2, 3):
        yield Run(f"R3={r3}: refuses, unlearns", f"MODE=3 X=2 CLICK=1 R3={r3} CLAIM=4 LOST=1", TRACE, quick=r3 == 1)
    yield Run("R4=0: an unknown token ends all", "MODE=1 CLICK=1 R4=0 CLAIM=6 CAUSE=1", TRACE, quick=True)
    for r4 in (0, 1):
        yield Run(f"R4={r4}: others' starts evict", f"MODE=1 N=1 CLICK=2 R4={r4} CLAIM=6 CAUSE=2", TRACE, quick=r4 == 1)
    yield Run("R5=0: same-origin is enough, `fresh`", f"MODE=2 X=1 SILENT=1 R5=0 {NOT_THE_ATTACKER}", TRACE, quick=True)
    yield Run("R5=0: same-origin is enough, `either`", f"MODE=3 X=1 SILENT=1 R5=0 {NOT_THE_ATTACKER}", TRACE)
    yield Run("EXACT=0: any copy is refused quietly", f"MODE=3 L0=1 {TWO} {QUIET} EXACT=0 {NOT_THE_VICTIM}", TRACE)
    yield Run("EXACT=0: the same, nothing under way", f"MODE=3 L0=1 {TWO} EXACT=0 {NOT_THE_VICTIM}", TRACE)
    yield Run("EXACT=0, where a store is shared", f"MODE=3 L0=1 {ALL} {QUIET} EXACT=0 {SAFE}", HOLDS)


def before() -> Iterator[Run]:
    named = {"MODE=1 CLICK=1": "`same`", "MODE=3": "`either`", "MODE=3 X=1": "`either`, XWMS sends a new token"}
    named |= {"MODE=2 X=1": "`fresh`"}
    for mode, name in named.items():
        # A new token is nothing that the attacker knows.
        for place in (ONE,) if "X=1" in mode else (ONE, TWO, CLAIMS):
            expected = HOLDS if place == ONE else TRACE
            what = f"{name}; {PLACES[place]}"
            yield Run(
                what, f"{mode} {place} FRAME=1 {BEFORE} {NOT_THE_VICTIM}", expected, quick=mode == "MODE=1 CLICK=1"
            )
    for mode in ("MODE=3 X=1", "MODE=2 X=1"):
        yield Run(f"{named[mode]}: the app's own script", f"{mode} {ONE} SILENT=1 {BEFORE} {NOT_THE_ATTACKER}", TRACE)


FAULTS, OAUTH, SHARED = "faults.pml ", "oauth.pml ", "NP=2 SH=1"


def _rows(model: str, expected: str, *rows: tuple[str, str]) -> Iterator[Run]:
    """Runs of one model; a `*` before the name takes it into the quick selection."""
    for what, switches in rows:
        yield Run(what.removeprefix("*"), model + switches, expected, quick=what.startswith("*"))


def faults() -> Iterator[Run]:
    for mode, name in MODES.items():
        quick = "*" if mode in ("MODE=1 CLICK=1", "MODE=3") else ""
        yield from _rows(FAULTS, HOLDS, (f"{quick}{name}; one process; hours pass", f"{mode} NP=1 AGE=2 TL=2 TOLD=1"))
        if "X=1" in mode:
            continue  # four tokens are too many for the others
        yield from _rows(
            FAULTS,
            HOLDS,
            (f"{name}; one process; two requests under way, a call fails", f"{mode} NP=1 JOBS=2 DOWN=1"),
            (f"{name}; a shared store; a call fails, a process starts anew", f"{mode} {SHARED} DOWN=1 RESTART=1"),
            (f"{name}; a shared store; it is down", f"{mode} {SHARED} SDOWN=1"),
        )
    yield from _rows(
        FAULTS,
        HOLDS,
        ("*`same`; one process; restarts between requests", "MODE=1 CLICK=1 RESTART=2"),
        ("*`same`; one process; restarts, with a flood", "MODE=1 RESTART=1 FLOOD=1"),
        ("`same`; two processes that share nothing; two requests under way", "MODE=1 NP=2 JOBS=2"),
        ("`same`; a shared store loses its data", f"MODE=1 CLICK=1 {SHARED} LOSS=1"),
        (
            "`same`; two processes that share nothing; a call fails, A waits",
            "MODE=1 NP=2 DOWN=1 PATIENT=1 CLAIM=2",
        ),
        ("*`same`; the race, after ten minutes", "MODE=1 RACE=2 AGE=1 TL=2"),
        ("*a token is sent once, calls fail", "MODE=1 DOWN=2 CLAIM=3"),
        ("*a new token is sent once, calls fail", "MODE=2 X=1 DOWN=1 CLAIM=3"),
    )


def faults_remain() -> Iterator[Run]:
    yield from _rows(
        FAULTS,
        TRACE,
        ("*`same`; one process: a call fails, and it starts anew", "MODE=1 DOWN=1 RESTART=1 CLAIM=2"),
        ("*`same`; one process: it ends in the middle of a request", "MODE=1 RESTART=1 MIDST=1 CLAIM=2"),
        ("`same`; a shared store: a process ends in the middle", f"MODE=1 {SHARED} RESTART=1 MIDST=1 CLAIM=2"),
        ("`same`; two processes that share nothing: a call fails", "MODE=1 NP=2 DOWN=1 CLAIM=2"),
        ("`same`; a shared store: a call fails, and its data is lost", f"MODE=1 {SHARED} DOWN=1 LOSS=1 CLAIM=2"),
        ("`same`; a shared store: it is down, and a call fails", f"MODE=1 {SHARED} SDOWN=1 DOWN=1 CLAIM=2"),
        ("*`either`, has learned; one process: it starts anew; a click", "MODE=3 L0=1 CLICK=1 RESTART=1 CLAIM=1"),
        ("`either`, may learn; a shared store loses its data; a click", f"MODE=3 CLICK=1 {SHARED} LOSS=1 CLAIM=1"),
        ("`either`, may learn: a token lives on for more than an hour; a click", "MODE=3 CLICK=1 AGE=2 TL=2 CLAIM=1"),
        ("`fresh`, both tokens work; one process: it starts anew", "MODE=2 X=2 RESTART=1 CLAIM=2"),
        ("`fresh`, both tokens work: one lives on for more than an hour", "MODE=2 X=2 AGE=2 TL=2 CLAIM=2"),
    )


def faults_without() -> Iterator[Run]:
    yield from _rows(
        FAULTS,
        TRACE,
        ("*LATE=1: an old login counts", "MODE=1 RACE=2 AGE=1 TL=2 CLAIM=2 LATE=1"),
        ("AGAIN=0: not looked up again", "MODE=1 JOBS=2 DOWN=1 CLAIM=2 AGAIN=0"),
        ("LOOKUP=0: `either` spends nothing if the store is down", f"MODE=3 L0=1 {SHARED} SDOWN=1 CLAIM=2 LOOKUP=0"),
        ("*FALL=0: nothing is spent if the store is down", f"MODE=1 {SHARED} SDOWN=1 CLAIM=2 FALL=0"),
        ("STAYS=0: issued for an hour only", "MODE=3 CLICK=1 AGE=2 TL=2 TOLD=1 CLAIM=1 STAYS=0"),
        ("WAITS=0: what could not be spent is forgotten", "MODE=1 NP=2 DOWN=1 PATIENT=1 CLAIM=2 WAITS=0"),
        ("*MARK=0: nothing is marked", f"MODE=1 {SHARED} DOWN=1 CLAIM=2 MARK=0"),
        ("*MARK=1: marked in the process only", f"MODE=1 {SHARED} DOWN=1 CLAIM=2 MARK=1"),
        ("*TRY=0: tokens are not claimed", "MODE=2 X=1 DOWN=1 CLAIM=3 TRY=0"),
        ("*KEPT=0: an unknown outcome gives all back", "MODE=1 DOWN=1 CLAIM=3 KEPT=0"),
    )


def oauth() -> Iterator[Run]:
    yield from _rows(
        OAUTH,
        HOLDS,
        ("*one server", ""),
        ("no ID token", "OPENID=0"),
        ("a server that ignores PKCE", "ASPKCE=0"),
        ("no ID token, PKCE only where it is asked for", "OPENID=0 ASPKCE=1"),
        ("three logins", "NL=3 CLAIM=2"),
        ("another server is the attacker's", "EVIL=1"),
        ("the same; no `iss`, two redirect URIs", "EVIL=1 HISS=0"),
        ("the same; one redirect URI, `iss`", "EVIL=1 SEP=0"),
        ("a code leaks before it comes", "LEAK=2"),
        ("*the same, no ID token", "LEAK=2 OPENID=0"),
        ("the same, a server that ignores PKCE", "LEAK=2 ASPKCE=0"),
        ("a server that sends codes elsewhere", "LOOSE=1"),
        ("the login's address leaks after ten minutes", "AGE=1 SEEN=2"),
        ("two callbacks under way, copies, a call fails", "JOBS=2 COPY=1 DOWN=1"),
        ("two processes that share nothing, copies", "NP=2 COPY=1"),
        ("restarts, copies, logins that expire", "RESTART=1 COPY=1 AGE=1"),
        ("*a code is sent once, copies, a call fails", "COPY=1 DOWN=1 CLAIM=3"),
        ("the same; two processes that share a store", f"COPY=1 {SHARED} CLAIM=3"),
    )
    yield from _rows(
        OAUTH,
        TRACE,
        ("*remains: a refused callback's code leaks", "LEAK=1 CLAIM=2"),
        ("*remains: the login's address leaks at once", "SEEN=1 CLAIM=1"),
        ("*remains: two processes that share nothing send a code twice", "COPY=1 NP=2 CLAIM=3"),
        ("*remains: a process that starts anew sends a code twice", "COPY=1 RESTART=1 CLAIM=3"),
        ("*STATE=0: any login of the browser, a server that ignores PKCE", "STATE=0 OPENID=0 ASPKCE=0 CLAIM=1"),
        ("*BIND=0: the state counts in every browser", "BIND=0 CLAIM=1"),
        ("*PKCE=0: a code leaks, no ID token", "PKCE=0 LEAK=2 OPENID=0 CLAIM=2"),
        ("*NONCE=0: a code leaks, a server that ignores PKCE", "NONCE=0 LEAK=2 ASPKCE=0 CLAIM=2"),
        ("*ISS=0: mix-up, one redirect URI", "ISS=0 SEP=0 EVIL=1 CLAIM=2"),
        ("*SEP=0: mix-up, no `iss`", "SEP=0 HISS=0 EVIL=1 CLAIM=2"),
        ("*URI=0: a server that sends codes elsewhere", "URI=0 LOOSE=1 CLAIM=2"),
        ("*SUB=0: another server says who it was", "SUB=0 EVIL=1 CLAIM=2"),
        ("LATE=1: the login's address leaks after ten minutes", "LATE=1 AGE=1 SEEN=2 CLAIM=1"),
        ("*ONCE=0: nothing is claimed", "ONCE=0 COPY=1 CLAIM=3"),
        ("*KEPT=0: an unknown outcome gives all back", "KEPT=0 COPY=1 DOWN=1 CLAIM=3"),
    )


TABLES = {
    "built": ("As built", as_built),
    "remains": ("What remains", what_remains),
    "without": ("Each rule taken out", without),
    "before": ("The rules before", before),
    "faults": ("When things fail: as built", faults),
    "faults-remain": ("When things fail: what remains", faults_remain),
    "faults-without": ("When things fail: each rule taken out", faults_without),
    "oauth": ("OAuth 2.0", oauth),
}


def check(run: Run) -> tuple[str, str]:
    """What the run gave, and how many states were searched."""
    command = [CHECK, "run", *run.switches.split()]
    said = subprocess.run(command, capture_output=True, text=True, check=False, env=TELLING | os.environ)  # noqa: S603
    found = re.search(r"\]: (\w+) states=(\d*)", said.stdout)
    if found is None:
        return said.stderr.strip() or "error", ""
    if found[1] == "TRACE" and os.environ.get("TRACES"):
        sys.stderr.write(said.stdout)
    return found[1].lower(), f"{int(found[2]):,}" if found[2] else ""


def _seconds() -> float:
    """Seconds of a processor that the runs have taken so far: on a busy machine they say more than a clock."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    quick, wrong = "quick" in sys.argv[1:], 0
    for title, runs in [TABLES[name] for name in sys.argv[1:] if name in TABLES] or TABLES.values():
        sys.stdout.write(f"\n## {title}\n\n| what | switches | result | states | seconds |\n|---|---|---|---|---|\n")
        for run in runs():
            if quick and not run.quick:
                continue
            began = _seconds()
            result, states = check(run)
            if result != run.expected:
                wrong += 1
                result += f", expected: {run.expected}"
            seconds = _seconds() - began
            sys.stdout.write(f"| {run.what} | `{run.switches}` | {result} | {states} | {seconds:.1f} |\n")
            sys.stdout.flush()
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
