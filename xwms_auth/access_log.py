"""Access logs of servers without what a callback's address carries: a token, or a code and its state.

    logging.getLogger("uvicorn.access").addFilter(WithoutTokens())      # or "gunicorn.access", or "werkzeug"

By the time such a line is written the token has been used, but a log lives longer than a mistake.

Knows: how these servers hand a request line to the logger: among the arguments of the record.
Must not: touch anything else of a line, or fail for a record that it does not know.
"""

import logging
import re
from collections.abc import Mapping

_VALUE = re.compile(r"([?&](?:token|code|state)=)[^&\s\"]*")


class WithoutTokens(logging.Filter):
    """Puts … in place of the values of `token`, `code` and `state` in the addresses of an access log's lines."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record, and let it through."""
        given = record.args
        if isinstance(given, tuple):
            record.args = tuple(map(_shortened, given))
        elif isinstance(given, Mapping):
            # gunicorn's: its letters for the request line, the query and the Referer.
            record.args = {name: _shortened(value) for name, value in given.items()}
        return True


def _shortened(value: object) -> object:
    # A query by itself, as gunicorn has it too, begins without its question mark.
    return _VALUE.sub(r"\1…", f"?{value}")[1:] if isinstance(value, str) else value
