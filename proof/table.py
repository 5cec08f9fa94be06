#!/usr/bin/env python3
"""Run the model in every mode: `proof/table.py [quick] [built] [remains] [without] [before]`.

Prints Markdown tables, and exits 1 where a result is not the expected one.

`quick` leaves out what takes longer. `T=600` in the environment gives each run so many seconds, `TRACES=1` prints
every trace to standard error.
"""

import os
import re
import subprocess
import sys
import time
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
                quick = place == ONE or (place == ALL and "X=1" not in mode)
                yield Run(f"{name}; {where}; with a flood", f"{mode} {place} {QUIET} FLOOD=1 {SAFE}", HOLDS, quick)
            else:
                # With tries under way, `either` over new tokens is too large: 79 million states in 13 GB, and no trace.
                quiet = QUIET.replace("ASYNC=2 ", "") if mode == "MODE=3 X=1" else QUIET
                yield Run(f"{name}; {where}", f"{mode} {place} {quiet} {SAFE}", HOLDS)
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


TABLES = {
    "built": ("As built", as_built),
    "remains": ("What remains", what_remains),
    "without": ("Each rule taken out", without),
    "before": ("The rules before", before),
}


def check(run: Run) -> tuple[str, str]:
    """What the run gave, and how many states were searched."""
    command = [CHECK, "run", *run.switches.split()]
    said = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)  # noqa: S603
    found = re.search(r"\]: (\w+) states=(\d*)", said.stdout)
    if found is None:
        return said.stderr.strip() or "error", ""
    if found[1] == "TRACE" and os.environ.get("TRACES"):
        sys.stderr.write(said.stdout)
    return found[1].lower(), f"{int(found[2]):,}" if found[2] else ""


def main() -> int:
    quick, wrong = "quick" in sys.argv[1:], 0
    for title, runs in [TABLES[name] for name in sys.argv[1:] if name in TABLES] or TABLES.values():
        sys.stdout.write(f"\n## {title}\n\n| what | switches | result | states | seconds |\n|---|---|---|---|---|\n")
        for run in runs():
            if quick and not run.quick:
                continue
            began = time.monotonic()
            result, states = check(run)
            if result != run.expected:
                wrong += 1
                result += f", expected: {run.expected}"
            seconds = time.monotonic() - began
            sys.stdout.write(f"| {run.what} | `{run.switches}` | {result} | {states} | {seconds:.0f} |\n")
            sys.stdout.flush()
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
