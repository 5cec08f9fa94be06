"""What a request costs with somebody signed in, over the same route without any login library.

Each visitor asks a route that says who is signed in, in process, through the application's own ASGI or WSGI callable:
no server, no socket, no event loop per request. `harness/rounds.py` says how it is measured, README.md who is compared.

    python benchmarks/request_cost.py [--json] [--quick] [--rounds N]
"""

import argparse
import asyncio

from harness.more_subjects import more_subjects
from harness.output import add_options, print_rows
from harness.rounds import REQUESTS, measured, show
from harness.subjects import SUBJECTS


def main() -> None:
    parser = argparse.ArgumentParser(description="What a request costs with somebody signed in.")
    add_options(parser)
    parser.add_argument("--rounds", type=int, help="more rounds, steadier medians (default: 40)")
    options = parser.parse_args()
    rounds, requests = (2, 40) if options.quick else (40, REQUESTS)
    subjects = [*SUBJECTS, *more_subjects()]
    rows = asyncio.run(measured(options.rounds or rounds, subjects=subjects, requests=requests))
    print_rows(rows, options, show)


if __name__ == "__main__":
    main()
