"""Mutants of a module: small changes to its source, of which each should make some test fail.

Only what runs when a function is called is changed, because the runner swaps the code of functions: nothing at import
time, no default argument, no lambda of a module or a class. The wording of errors and log lines stays as well.
"""

import ast
import hashlib
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

from tests.mutation.modules import PACKAGE, Module

OTHER_COMPARISONS: dict[type[ast.cmpop], tuple[str, tuple[str, ...]]] = {
    ast.Lt: ("<", ("<=", ">=")),
    ast.LtE: ("<=", ("<", ">")),
    ast.Gt: (">", (">=", "<=")),
    ast.GtE: (">=", (">", "<")),
    ast.Eq: ("==", ("!=",)),
    ast.NotEq: ("!=", ("==",)),
    ast.Is: ("is", ("is not",)),
    ast.IsNot: ("is not", ("is",)),
    ast.In: ("in", ("not in",)),
    ast.NotIn: ("not in", ("in",)),
}
OTHER_ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "//"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"),
}
OTHER_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}
LOGS = {"audit", "log", "logger", "logging", "warnings"}
"""What a call whose arguments are the wording of a log line begins with."""

EVENTS = "events"
"""The log of events: the name of an event is stable and is mutated, what its fields say is wording."""

FAULTS = {"fault"}
"""Methods that take the wording of a fault of the settings."""

SENTENCE = re.compile(r"[A-Za-z']+(,? [A-Za-z']+){4,}[.:]?")
"""What is wording wherever it stands. No header, directive, name or query of this package looks like it."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
Block = (
    *(ast.If, ast.While, ast.For, ast.AsyncFor, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.ExceptHandler),
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef),
)
Span = tuple[int, int]  # bytes of the source
Edit = tuple[str, Span, str]  # the kind, where, and what stands there instead


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One change. `lines` are those of its statement: the tests that run one of them may notice."""

    module: Module
    kind: str
    scope: str
    """The qualified name of the outermost function around it."""
    line: int
    lines: range
    span: Span
    before: str
    after: str
    context: str
    """The whole line, for the reader."""
    number: int
    """Which of several that are otherwise alike, within one function."""

    def source(self) -> bytes:
        """The module's source with the change made."""
        source = self.module.path.read_bytes()
        return source[: self.span[0]] + self.after.encode() + source[self.span[1] :]

    def code(self) -> CodeType | None:
        """That source, compiled; None if it is no Python."""
        try:
            return compiled(self.source(), self.module)
        except SyntaxError:
            return None


def compiled(source: bytes, module: Module) -> CodeType:
    """Compile it as if it were the module's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "is" with a literal, and the like
        return compile(source, str(module.path), "exec", dont_inherit=True)


def sample(mutants: Iterable[Mutant], size: int, seed: int) -> list[Mutant]:
    """Draw mutants, the same ones for the same source and seed.

    Each has a rank of its own, made of the seed and of what it changes in which function, so a module that moves to
    another folder, or a change elsewhere, leaves the rest of the sample as it was.
    """

    def rank(mutant: Mutant) -> bytes:
        told = (seed, mutant.module.path.stem, mutant.scope, mutant.kind, mutant.before, mutant.after, mutant.number)
        return hashlib.sha256(repr(told).encode()).digest()

    drawn: list[Mutant] = []
    for mutant in sorted(mutants, key=rank):
        if len(drawn) >= size:
            break
        if mutant.code() is not None:
            drawn.append(mutant)
    return sorted(drawn, key=lambda one: (one.module, one.span, one.after))


def mutants_of(module: Module, errors: frozenset[str]) -> list[Mutant]:
    """Return every mutant of a module, in the order of its source. `errors` are the names of exceptions."""
    return _Source(module, errors).mutants()


def names_of_exceptions(package: Path = PACKAGE) -> frozenset[str]:
    """Return the names of the package's exceptions, whose arguments are for people."""
    bases: dict[str, set[str]] = {}
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.ClassDef):
                bases.setdefault(node.name, set()).update(ast.unparse(base).split(".")[-1] for base in node.bases)
    found = {"Exception", "BaseException", "ValueError", "TypeError", "RuntimeError", "LookupError", "OSError"}
    while more := {name for name, above in bases.items() if above & found} - found:
        found |= more
    return frozenset(found)


class _Source:
    """One module's source, as text and as a tree whose nodes know what is above them."""

    def __init__(self, module: Module, errors: frozenset[str]) -> None:
        self.module = module
        self.errors = errors
        self.data = module.path.read_bytes()
        self.lines = self.data.split(b"\n")
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line) + 1)
        self.tree = ast.parse(self.data)
        self.above = {below: node for node in ast.walk(self.tree) for below in ast.iter_child_nodes(node)}

    def mutants(self) -> list[Mutant]:
        made: list[Mutant] = []
        seen: set[tuple[Span, str]] = set()
        alike: Counter[tuple[str, ...]] = Counter()
        nodes = [node for node in ast.walk(self.tree) if isinstance(node, (ast.expr, ast.stmt, ast.ExceptHandler))]
        for node in sorted(nodes, key=lambda node: (node.lineno, node.col_offset)):
            scope = self._scope(node)
            if scope is None or self._is_annotation(node) or not self._is_where_it_says(node):
                continue
            for kind, span, after in self._edits(node):
                before = self.data[slice(*span)].decode()
                if before == after or (span, after) in seen:
                    continue
                seen.add((span, after))
                told = (scope, kind, before, after)
                line = self.data[: span[0]].count(b"\n") + 1
                made.append(
                    Mutant(
                        module=self.module,
                        kind=kind,
                        scope=scope,
                        line=line,
                        lines=self._lines_of_statement(node),
                        span=span,
                        before=before,
                        after=after,
                        context=self.lines[line - 1].decode().strip(),
                        number=alike[told],
                    )
                )
                alike[told] += 1
        return made

    # where a node stands

    def _span(self, node: ast.expr | ast.stmt) -> Span:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.starts[node.lineno - 1] + node.col_offset, self.starts[node.end_lineno - 1] + node.end_col_offset

    def _text(self, node: ast.expr | ast.stmt) -> str:
        return self.data[slice(*self._span(node))].decode()

    def _chain(self, node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
        """A node and what is above it, then that and what is above that, up to the module."""
        while (above := self.above.get(node)) is not None:
            yield node, above
            node = above

    def _scope(self, node: ast.AST) -> str | None:
        """The qualified name of the outermost function, or None for what does not run when that is called."""
        names: list[str] = []
        in_body = False
        for below, above in self._chain(node):
            if isinstance(above, Function):
                names, in_body = [above.name], below in above.body
            elif isinstance(above, ast.ClassDef) and names:
                names.append(above.name)
        return ".".join(reversed(names)) if in_body else None

    def _lines_of_statement(self, node: ast.AST) -> range:
        """The lines whose running means that the node may run; of a block, those of its head only."""
        statement = node
        for _, above in self._chain(node):
            if isinstance(statement, (ast.stmt, ast.ExceptHandler)):
                break
            statement = above
        assert isinstance(statement, (ast.stmt, ast.ExceptHandler))
        last = statement.end_lineno
        if isinstance(statement, ast.Match):
            last = statement.subject.end_lineno
        elif isinstance(statement, Block):
            last = statement.body[0].lineno - 1
        return range(statement.lineno, max(statement.lineno, last or 0) + 1)

    def _is_annotation(self, node: ast.AST) -> bool:
        for below, above in self._chain(node):
            match above:
                case ast.arg():
                    return True
                case (
                    ast.AnnAssign(annotation=where)
                    | ast.FunctionDef(returns=where)
                    | ast.AsyncFunctionDef(returns=where)
                ) if where is below:
                    return True
                case ast.Call(func=ast.Name(id="cast"), args=[where, *_]) if where is below:
                    return True
                case _:
                    pass
        return False

    def _is_where_it_says(self, node: ast.expr | ast.stmt | ast.ExceptHandler) -> bool:
        """Before Python 3.12, what is within an f-string may claim to stand where it does not."""
        if not isinstance(node, ast.expr) or not any(
            isinstance(above, ast.JoinedStr) for _, above in self._chain(node)
        ):
            return True
        try:
            found = ast.parse(self._text(node), mode="eval").body
        except (SyntaxError, UnicodeDecodeError):
            return False
        return ast.dump(found) == ast.dump(node)

    def _is_wording(self, node: ast.expr) -> bool:
        """Whether it is part of what an error or a log line says."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SENTENCE.fullmatch(node.value):
            return True
        for below, above in self._chain(node):
            if isinstance(above, ast.Raise):
                return True
            if isinstance(above, ast.stmt):
                return False
            if isinstance(above, ast.Call):
                called = ast.unparse(above.func).split(".")
                if called[0] in LOGS or called[-1] in self.errors | FAULTS:
                    return True
                if called[0] == EVENTS and isinstance(below, ast.keyword):
                    return True
        return False

    # what is changed

    def _edits(self, node: ast.expr | ast.stmt | ast.ExceptHandler) -> Iterator[Edit]:
        match node:
            case ast.Compare():
                yield from self._of_comparison(node)
            case ast.BoolOp():
                yield from self._of_and_or(node)
            case ast.UnaryOp(op=ast.Not()):
                yield "not removed", self._span(node), f"({self._text(node.operand)})"
            case ast.Constant():
                yield from self._of_constant(node)
            case ast.BinOp():
                yield from self._of_arithmetic(node)
            case ast.If() | ast.IfExp():
                yield "condition", self._span(node.test), self._instead_of(node.test, "True")
                yield "condition", self._span(node.test), self._instead_of(node.test, "False")
            case ast.While():
                yield "condition", self._span(node.test), self._instead_of(node.test, "False")
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                for condition in (one for generator in node.generators for one in generator.ifs):
                    yield "condition", self._span(condition), "True"
                    yield "condition", self._span(condition), "False"
            case ast.Call(func=ast.Name(id=name) as function) if name in OTHER_CALLS:
                yield "call", self._span(function), OTHER_CALLS[name]
            case ast.ExceptHandler(type=ast.Tuple() as caught):
                yield from self._without_one(caught, "caught")
            case ast.stmt():
                yield from self._of_statement(node)
            case _:
                pass

    def _of_statement(self, node: ast.stmt) -> Iterator[Edit]:
        match node:
            case ast.Return(value=ast.expr() as value) if not _is_none(value):
                yield "return value", self._span(value), self._instead_of(value, "None")
            case ast.Raise():
                yield "deleted raise", self._span(node), "pass"
            case ast.Expr(value=ast.YieldFrom()):
                yield "deleted call", self._span(node), "yield from ()"
            case ast.Expr(value=ast.Call() | ast.Await()):
                yield "deleted call", self._span(node), "pass"
            case ast.Continue() | ast.Break() | ast.Delete():
                yield "deleted statement", self._span(node), "pass"
            case ast.AugAssign():
                yield "deleted assignment", self._span(node), "pass"
            case ast.Assign(targets=targets) if all(isinstance(one, (ast.Attribute, ast.Subscript)) for one in targets):
                yield "deleted assignment", self._span(node), "pass"
            case _:
                pass

    def _of_comparison(self, node: ast.Compare) -> Iterator[Edit]:
        left = node.left
        for operator, right in zip(node.ops, node.comparators, strict=True):
            sign, others = OTHER_COMPARISONS[type(operator)]
            if span := self._sign(left, sign, right):
                for other in others:
                    yield "comparison", span, other
            if isinstance(right, (ast.Tuple, ast.List, ast.Set)):
                yield from self._without_one(right, "compared")
            left = right

    def _of_and_or(self, node: ast.BoolOp) -> Iterator[Edit]:
        sign, other = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        parts = [f"({self._text(value)})" for value in node.values]
        for number in range(len(parts)):
            yield "dropped operand", self._span(node), f" {sign} ".join(parts[:number] + parts[number + 1 :])
        if len(parts) == 2:
            yield f"{sign} to {other}", self._span(node), f" {other} ".join(parts)

    def _of_arithmetic(self, node: ast.BinOp) -> Iterator[Edit]:
        text = isinstance(node.left, ast.JoinedStr) or (
            isinstance(node.left, ast.Constant) and isinstance(node.left.value, str)
        )
        if text or type(node.op) not in OTHER_ARITHMETIC:
            return
        sign, other = OTHER_ARITHMETIC[type(node.op)]
        if span := self._sign(node.left, sign, node.right):
            yield "arithmetic", span, other

    def _of_constant(self, node: ast.Constant) -> Iterator[Edit]:
        above = self.above[node]
        if isinstance(above, (ast.Expr, ast.JoinedStr, ast.MatchValue, ast.MatchSingleton)):
            return
        value, span = node.value, self._span(node)
        if isinstance(value, bool):
            yield "constant", span, str(not value)
        elif isinstance(value, int):
            yield "constant", span, str(value + 1)
            yield "constant", span, str(value - 1)
        elif isinstance(value, str) and not self._is_wording(node):
            yield "constant", span, repr(value + "X")
            if value:
                yield "constant", span, repr("")
        elif isinstance(value, bytes):
            yield "constant", span, repr(value + b"X")
            if value:
                yield "constant", span, repr(b"")

    def _without_one(self, node: ast.Tuple | ast.List | ast.Set, kind: str) -> Iterator[Edit]:
        if len(node.elts) < 2:
            return
        opening, closing = {ast.Tuple: ("(", ")"), ast.List: ("[", "]"), ast.Set: ("{", "}")}[type(node)]
        for number in range(len(node.elts)):
            rest = [self._text(one) for one in node.elts[:number] + node.elts[number + 1 :]]
            yield f"one less {kind}", self._span(node), f"{opening}{', '.join(rest)},{closing}"

    def _instead_of(self, node: ast.expr, after: str) -> str:
        """Another value. What names a value or yields stays: without it a function would fail in any case."""
        if any(isinstance(one, (ast.Yield, ast.YieldFrom, ast.NamedExpr)) for one in ast.walk(node)):
            return f"(({self._text(node)}), {after})[1]"
        return after

    def _sign(self, left: ast.expr, sign: str, right: ast.expr) -> Span | None:
        """Where the operator stands between two operands."""
        begin, end = self._span(left)[1], self._span(right)[0]
        at = self.data[begin:end].find(sign.encode())
        return None if at < 0 else (begin + at, begin + at + len(sign))


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
