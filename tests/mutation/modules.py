"""Which modules are mutated, and where they are."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "xwms_auth"

SECURITY_MODULES = """
    access_denied after_answer backchannel_logout bearer_challenge bearer_guard callback client_address code_flow
    confirmation context cookie credentials endpoints epoch fair_limit fetch_metadata given_up_tokens id_token jwt
    leak_guard logout_token lookup models next_url pending_login rate_limits records revalidation revocation routes
    sealing secret_sources session sign_token signing state strict_json token_refresh token_revocation
    token_validation urls validation websocket websocket_access xwms_auth/_core/http/messages.py
""".split()
"""What is mutated unless `--modules` says otherwise. Bare names are found in whatever folder they are."""

NOT_BY_BARE_NAME = {"cli", "sandbox", "testing"}
"""Folders in which a bare name is not looked for: theirs are other modules of the same names."""


@dataclass(frozen=True, order=True)
class Module:
    """One file of the package. `name` is what it is imported by."""

    name: str
    path: Path

    @property
    def shown(self) -> str:
        """Its path within the repository."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def within(self) -> str:
        """Its path within the package."""
        return self.path.relative_to(PACKAGE).as_posix()


def find_modules(patterns: Iterable[str]) -> tuple[list[Module], list[str]]:
    """Return the modules that these name, in order and each once; and the names that name none.

    A name is bare (`flow`), dotted (`xwms_auth.flow`), a path or a glob (`xwms_auth/**/flow.py`); of a folder it means
    every module in it.
    """
    found: set[Module] = set()
    unknown: list[str] = []
    for pattern in patterns:
        files = {file for path in _paths_of(pattern) for file in ([path] if path.is_file() else path.rglob("*.py"))}
        modules = {_module(file) for file in files if file.suffix == ".py" and file.stem != "__main__"}
        found |= modules
        if not modules:
            unknown.append(pattern)
    return sorted(found), unknown


def _paths_of(pattern: str) -> list[Path]:
    wanted = pattern.removeprefix("./").rstrip("/")
    if wanted == PACKAGE.name:
        return [PACKAGE]
    if "/" in wanted or "*" in wanted or wanted.endswith(".py"):
        return list(PACKAGE.glob(wanted.removeprefix(f"{PACKAGE.name}/")))
    if "." in wanted:
        path = PACKAGE.joinpath(*wanted.removeprefix(f"{PACKAGE.name}.").split("."))
        return [one for one in (path.with_name(f"{path.name}.py"), path) if one.exists()]
    # A module may have the name of a folder.
    found = list(PACKAGE.rglob(f"{wanted}.py")) or [path for path in PACKAGE.rglob(wanted) if path.is_dir()]
    return [path for path in found if not NOT_BY_BARE_NAME & set(path.relative_to(PACKAGE).parts[:-1])]


def _module(file: Path) -> Module:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return Module(".".join(parts[:-1] if parts[-1] == "__init__" else parts), file)
