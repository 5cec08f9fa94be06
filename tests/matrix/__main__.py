"""`python -m tests.matrix [WORD…]`: every cell whose title has one of the words, two at a time; then the table.

Then the providers of logins, whose titles begin with "providers/", one after another. Without words it runs all, and
writes the tables into docs/matrix.md and docs/conformance.md. A red cell or a failed step ends it with 1.
"""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.matrix.cells import CELLS, Cell
from tests.matrix.environments import KEPT, ROOT
from tests.matrix.providers import table as providers
from tests.matrix.runner import Result, prepare, run, world
from tests.matrix.table import counts, table, written_into

PAGE = ROOT / "docs" / "matrix.md"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("words", nargs="*", help="parts of the titles of cells, such as asgi-servers or nginx-strip")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--list", action="store_true", help="only print the titles")
    options = parser.parse_args()
    cells = [cell for cell in CELLS if not options.words or any(word in cell.title for word in options.words)]
    chosen = providers.matching(options.words)
    if options.list or not (cells or chosen):
        titles = [cell.title for cell in cells] + [providers.title(provider) for provider in chosen]
        print("\n".join(titles) or "no cell has these words")
        return not titles
    bad = _cells(cells, options) if cells else False
    return _providers(chosen, write=not options.words) or bad


def _cells(cells: list[Cell], options: argparse.Namespace) -> bool:
    """Whether one is red."""
    prepared = [prepare(cell) for cell in cells]
    uris = [uri for each in prepared for uri in each.redirect_uris]
    command = [sys.executable, "-m", "xwms_auth"]
    results: list[Result] = []
    with world(uris, command=command) as shared, ThreadPoolExecutor(options.jobs) as pool:
        for result in pool.map(lambda each: run(each, shared, logs=KEPT / "logs"), prepared):
            results.append(result)
            print(f"{result.word:14}{result.seconds:6.1f} s  {result.cell.title}  {result.reason}", flush=True)
    print(f"\n{counts(results)}")
    if not options.words:
        PAGE.write_text(written_into(PAGE.read_text(), results))
    elif not any(result.word == "red" for result in results):
        print(table(results))
    return any(result.word == "red" for result in results)


def _providers(chosen: list[providers.Provider], *, write: bool) -> bool:
    """Whether a step of one has failed."""
    results = []
    for provider in chosen:
        said = providers.run(provider, logs=KEPT / "logs")
        results.append((provider, said))
        print(f"{providers.title(provider)}: {', '.join(f'{step} {word}' for step, word in said.items())}", flush=True)
    if write:
        page = providers.PAGE.read_text(encoding="utf-8")
        providers.PAGE.write_text(providers.written_into(page, results), encoding="utf-8")
    elif results:
        print(providers.table(results))
    return any(providers.failed(said) for _, said in results)


sys.exit(main())
