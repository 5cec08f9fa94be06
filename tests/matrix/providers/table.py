"""Runs the providers, and writes their table into docs/conformance.md."""

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.matrix.environments import ROOT, CannotBeHad, Conflict
from tests.matrix.providers.catalogue import PROVIDERS, Provider, running
from tests.matrix.providers.journey import LACKS, STEPS, WORKS
from tests.matrix.story import Failed

PAGE = ROOT / "docs" / "conformance.md"
BEGIN, END = "<!-- providers -->", "<!-- end of providers -->"
_SHORT = {WORKS: "works", LACKS: "–"}


def title(provider: Provider) -> str:
    return f"providers/{provider.name}"


def run(provider: Provider, *, logs: Path) -> Mapping[str, str]:
    """Step to what came of it. Never raises for what a provider does; "not to be had: …" where it cannot be tried."""
    folder = logs / title(provider)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        with running(provider, folder) as journey:
            return journey.run()
    except (CannotBeHad, Conflict) as reason:
        return dict.fromkeys(STEPS, f"not to be had: {reason}")
    except Failed as fault:
        return dict.fromkeys(STEPS, f"failed: {fault}")


def failed(said: Mapping[str, str]) -> bool:
    return any(word.startswith("failed") for word in said.values())


def table(results: Sequence[tuple[Provider, Mapping[str, str]]]) -> str:
    """A line for each provider; a step that the server lacks is a dash, so that "failed" stands out."""
    head = ("Provider", *STEPS, "Notes")
    lines = [head, ("---",) * len(head)]
    for provider, said in results:
        words = [_SHORT.get(said[step], _plain(said[step])) for step in STEPS]
        lines.append((provider.name, *words, provider.notes))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(said: str) -> str:
    return re.sub(r"[|<>*\n]", " ", said)[:120].strip()


def written_into(page: str, results: Sequence[tuple[Provider, Mapping[str, str]]]) -> str:
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table(results)}\n\n{END}{after}"


def shown() -> list[str]:
    """The providers that the page has a line for."""
    section = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    return re.findall(r"^\| ([\w.-]+) \| (?:works|failed|differs|not to be had|–)", section, re.M)


def matching(words: Sequence[str]) -> list[Provider]:
    return [provider for provider in PROVIDERS if not words or any(word in title(provider) for word in words)]
