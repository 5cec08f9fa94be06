"""The applications of the other modules for uvicorn and gunicorn. `BENCHMARK_SUBJECT` says which: `edge/name`."""

import os
from typing import Any

from .more_subjects import fastapi_subjects
from .subjects import SUBJECTS


def application() -> Any:
    edge, _, name = os.environ["BENCHMARK_SUBJECT"].partition("/")
    return next(one.make() for one in (*SUBJECTS, *fastapi_subjects()) if (one.edge, one.name) == (edge, name))
