"""The decorator `dataclass`: the standard one, without the generated code that makes it slow to import.

`dataclasses.dataclass` compiles six methods for each frozen class, in about half a millisecond; for the fifty classes
of this package that was most of its import. Here only `__init__` is compiled, when it is first used, and the other
methods are shared. The classes are dataclasses in every other respect: `fields`, `replace`, `asdict`, `match`, copying,
pickling, signatures and subclasses work as usual. Left out are `order`, `unsafe_hash` and `InitVar`.
"""

import dataclasses
import sys
from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError, fields, is_dataclass
from inspect import get_annotations
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass  # noqa: PLC0414  type checkers know only the standard one
else:

    def dataclass(*, frozen: bool = False, eq: bool = True, **options: bool) -> Callable[[type[Any]], type[Any]]:
        """As the standard decorator, with the options that this package uses."""
        return lambda cls: _as_dataclass(cls, frozen=frozen, eq=eq, options=options)


def _as_dataclass(cls: Any, *, frozen: bool, eq: bool, options: dict[str, bool]) -> Any:
    # Without a docstring the standard one writes the signature, and loads the tokenizer for it.
    cls.__doc__ = cls.__doc__ or cls.__name__
    # A dataclass that is not frozen may not inherit from one that is.
    inherits_frozen = any(is_dataclass(base) and _parameters(base).frozen for base in cls.__mro__[1:])
    cls = dataclasses.dataclass(init=False, repr=False, eq=False, frozen=frozen and inherits_frozen, **options)(cls)
    parameters = _parameters(cls)
    parameters.init, parameters.repr, parameters.eq, parameters.frozen = True, True, eq, frozen
    own = fields(cls)
    methods: dict[str, object] = {"__init__": _DeferredInit(cls), "__repr__": _repr}
    if eq:
        methods |= _comparison(own, frozen=frozen)
    for name, method in methods.items():
        if name not in cls.__dict__ or (name == "__hash__" and cls.__dict__[name] is None):
            setattr(cls, name, method)
    if frozen:
        _protect(cls, {field.name for field in own})
    return cls


def _parameters(cls: Any) -> Any:
    return cls.__dataclass_params__


@recursive_repr()
def _repr(self: Any) -> str:
    shown = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in fields(self) if field.repr)
    return f"{type(self).__qualname__}({shown})"


def _comparison(own: tuple[Field[Any], ...], *, frozen: bool) -> dict[str, object]:
    compared = _values_of([field.name for field in own if field.compare])
    hashed = _values_of([field.name for field in own if (field.compare if field.hash is None else field.hash)])

    def equal(self: object, other: object) -> bool:
        return compared(self) == compared(other) if other.__class__ is self.__class__ else NotImplemented

    def hash_value(self: object) -> int:
        return hash(hashed(self))

    return {"__eq__": equal, "__hash__": hash_value if frozen else None}


def _values_of(names: list[str]) -> Callable[[object], object]:
    if len(names) > 1:
        return attrgetter(*names)
    return lambda one: tuple(getattr(one, name) for name in names)


def _protect(cls: Any, names: set[str]) -> None:
    """Keep the fields as they are. A subclass may have other attributes of its own."""

    def set_attribute(self: object, name: str, value: object) -> None:
        if type(self) is cls or name in names:
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        super(cls, self).__setattr__(name, value)

    def delete_attribute(self: object, name: str) -> None:
        if type(self) is cls or name in names:
            raise FrozenInstanceError(f"cannot delete field {name!r}")
        super(cls, self).__delattr__(name)

    cls.__setattr__, cls.__delattr__ = set_attribute, delete_attribute
    if "__slots__" in cls.__dict__:  # copying and pickling would set the fields
        cls.__getstate__, cls.__setstate__ = _get_state, _set_state


def _get_state(self: Any) -> list[object]:
    return [getattr(self, field.name) for field in fields(self)]


def _set_state(self: Any, state: list[object]) -> None:
    for field, value in zip(fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)


class _DeferredInit:
    """Stands for the `__init__` of a dataclass, and puts the real one in its place when somebody asks for it."""

    def __init__(self, cls: type[Any]) -> None:
        self._cls = cls

    def __get__(self, instance: object, owner: type[Any] | None = None) -> Any:
        real = self._cls.__init__ = _compile_init(self._cls)
        return real if instance is None else real.__get__(instance, owner)


class _Factory:
    def __repr__(self) -> str:
        return "<factory>"


_FACTORY = _Factory()
"""The default of a parameter in whose place the field's `default_factory` is called."""


def _compile_init(cls: Any) -> Any:
    own = fields(cls)
    frozen = _parameters(cls).frozen
    # As they are now: `output_only` changes some.
    annotations = [get_annotations(base) for base in cls.__mro__]
    names: dict[str, object] = {"_set": object.__setattr__, "_factory": _FACTORY}
    positional: list[str] = []
    keyword_only: list[str] = []
    body: list[str] = []
    for field in own:
        name, value = field.name, field.name
        parameter = f"{name}: _type_{name}"
        names[f"_type_{name}"] = next(known[name] for known in annotations if name in known)
        if field.default is not MISSING:
            names[f"_default_{name}"] = field.default
            parameter += f" = _default_{name}"
            value = name if field.init else f"_default_{name}"
        elif field.default_factory is not MISSING:
            names[f"_default_{name}"] = field.default_factory
            parameter += " = _factory"
            value = f"_default_{name}()"
            value = f"{value} if {name} is _factory else {name}" if field.init else value
        elif not field.init:
            continue
        if field.init:
            (keyword_only if field.kw_only else positional).append(parameter)
        body.append(_assignment(cls, name, value, names) if frozen else f"self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    parameters = ", ".join(["self", *positional, *(["*", *keyword_only] if keyword_only else [])])
    lines = [f"def __init__({parameters}) -> None:", *(f" {line}" for line in body or ["pass"])]
    source = f"def make({', '.join(names)}):\n " + "\n ".join(lines) + "\n return __init__"
    made: dict[str, Any] = {}
    exec(source, sys.modules[cls.__module__].__dict__, made)  # noqa: S102  the names of a class's fields, as in the standard library
    init = made["make"](**names)
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init


def _assignment(cls: Any, name: str, value: str, names: dict[str, object]) -> str:
    slot = getattr(getattr(cls, name, None), "__set__", None)
    if slot is None:
        return f"_set(self, {name!r}, {value})"
    names[f"_set_{name}"] = slot
    return f"_set_{name}(self, {value})"
