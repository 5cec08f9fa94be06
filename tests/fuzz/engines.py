"""What feeds the targets: Hypothesis, which edits the seeds, and atheris, guided by coverage of the package.

Both count distinct values, and go on after a finding, so that one does not hide the next.
"""

import hashlib
import json
import os
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import hypothesis
from hypothesis import strategies as st

from tests.fuzz.judges import tally
from tests.fuzz.targets import Target

MAX_FINDINGS: Final = 20
"""Findings of one run that are kept, one for each place where an oracle was contradicted."""


PROGRESS: Final = 10_000
"""Values after which the log gets a line."""


class Enough(BaseException):
    """So many distinct values have been fed."""


@dataclass(slots=True)
class Run:
    """One target being fed, up to so many distinct values."""

    target: Target
    most: int
    seen: set[bytes] = field(default_factory=set)
    findings: dict[str, bytes] = field(default_factory=dict)
    executions: int = 0
    is_stopped: bool = False
    began: float = field(default_factory=time.monotonic)
    cpu: float = field(default_factory=time.process_time)

    def feed(self, made: bytes) -> None:
        """Run the target with what an engine has made. Raises `Enough` after the last value."""
        self.executions += 1
        for data in self.target.variants(made[: self.target.longest]):
            self.take(data)

    def stop(self, *_: object) -> None:
        """End with the value that is being run, as a signal asks. The figures are those up to there."""
        self.is_stopped = True

    def take(self, data: bytes) -> None:
        """Run the target once if the value is a new one."""
        name = hashlib.blake2b(data, digest_size=8).digest()
        if name in self.seen:
            return
        self.seen.add(name)
        try:
            self.target.run(data)
        except Exception as error:  # noqa: BLE001  whatever it is, it is a finding
            place = traceback.extract_tb(error.__traceback__)[-1]
            key = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
            if key not in self.findings and len(self.findings) < MAX_FINDINGS:
                self.findings[key] = data
                sys.stderr.write(f"\n{self.target.name}: {key}\n{data!r}\n{traceback.format_exc(limit=-3)[:4000]}\n")
        if len(self.seen) % PROGRESS == 0:
            sys.stderr.write(f"{len(self.seen):,} values in {time.monotonic() - self.began:,.0f} s\n")
            sys.stderr.flush()
        if len(self.seen) >= self.most or self.is_stopped:
            raise Enough

    def result(self) -> dict[str, Any]:
        """The figures, as JSON."""
        return {
            "target": self.target.name,
            "values": len(self.seen),
            "executions": self.executions,
            "stopped": self.is_stopped,
            "seconds": round(time.monotonic() - self.began, 1),
            "cpu": round(time.process_time() - self.cpu, 1),
            "findings": {key: data.decode("latin-1") for key, data in self.findings.items()},
            "outcomes": dict(tally.most_common()),
        }


def edited(dice: random.Random, target: Target) -> bytes:
    """A seed with some edits: a piece or a byte put in, something taken out, done twice, or taken from another seed."""
    seeds = target.seeds()
    data = bytearray(dice.choice(seeds))
    for _ in range(dice.randint(0, 4)):
        at = dice.randint(0, len(data))
        end = at + dice.choice((0, 0, 1, 2, 8))
        match dice.randint(0, 5):
            case 0 | 1 | 2 if target.pieces:
                data[at:end] = dice.choice(target.pieces)
            case 3:
                data[at:end] = bytes(data[at : at + 40]) * 2
            case 4:
                other = dice.choice(seeds)
                data[at:end] = other[dice.randint(0, len(other)) :][:60]
            case _:
                data[at:end] = bytes(dice.randrange(256) for _ in range(dice.randint(0, 3)))
    return bytes(data)


def inputs(target: Target) -> st.SearchStrategy[bytes]:
    """The same, as a strategy of Hypothesis, which makes what it finds smaller."""
    return st.randoms(use_true_random=False).map(lambda dice: edited(dice, target))


def feed_by_edits(run: Run, *, seed: int) -> None:
    """Feed the seeds, then edits of them: nothing guides these, and they cost next to nothing."""
    dice = random.Random(seed)
    with suppress(Enough):
        for data in run.target.seeds():
            run.take(data)
        while True:
            run.feed(edited(dice, run.target))


def feed_by_hypothesis(run: Run, *, seed: int) -> None:
    """Feed the seeds, then edits of them."""
    with suppress(Enough):
        for data in run.target.seeds():
            run.take(data)
        settings = hypothesis.settings(
            max_examples=100 * run.most,
            database=None,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        hypothesis.seed(seed)(settings(hypothesis.given(inputs(run.target))(run.feed)))()


def feed_by_atheris(run: Run, *, seed: int, ended: Callable[[], None]) -> None:
    """Feed what atheris makes of the seeds. Never returns: `ended` is called, then the process ends.

    The modules of the package must have been imported with counters, under `atheris.instrument_imports`.
    """
    import atheris

    def once(data: bytes) -> None:
        try:
            run.feed(data)
        except Enough:
            ended()
            sys.stdout.flush()
            os._exit(0)

    # libFuzzer itself runs the seeds that it takes whole: it keeps none that reaches nothing, as a second run does.
    for data in run.target.seeds():
        if len(data) > run.target.longest:
            run.take(data)
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder, "corpus")
        corpus.mkdir()
        for number, data in enumerate(run.target.seeds()):
            (corpus / str(number)).write_bytes(data)
        words = Path(folder, "words")
        words.write_text("".join(f'"{_escaped(piece)}"\n' for piece in run.target.pieces if piece), encoding="ascii")
        options = [f"-seed={seed}", f"-max_len={run.target.longest}", "-len_control=0", "-rss_limit_mb=4096"]
        options += [f"-dict={words}", "-timeout=60", "-verbosity=0", f"-artifact_prefix={folder}/"]
        options += ["-handle_int=0", "-handle_term=0"]  # a signal is for `Run.stop`
        atheris.Setup([sys.argv[0], *options, str(corpus)], once)
        atheris.Fuzz()


def _escaped(piece: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in piece)


def write_findings(result: dict[str, Any], folder: Path) -> None:
    """Write each finding to a file of its own, as a line of a seed file."""
    for number, data in enumerate(result["findings"].values()):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{result['target']}-{number}.txt").write_text(json.dumps(data) + "\n", encoding="ascii")
