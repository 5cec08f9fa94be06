"""`python -m tests.matrix [WORD…]`: every cell whose title has one of the words, two at a time; then the table.

Without words it runs all, and writes the table into docs/matrix.md. A red cell ends it with 1.
"""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.matrix.cells import CELLS
from tests.matrix.environments import KEPT, ROOT
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
    if options.list or not cells:
        print("\n".join(cell.title for cell in cells) or "no cell has these words")
        return not cells
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


sys.exit(main())
