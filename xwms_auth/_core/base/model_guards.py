"""Keeps our models from being made out of a request: `output_only` above a class.

Web frameworks make an object of whatever class an endpoint's parameter is annotated with, out of the request's body or
query. Of a `User` that would be anybody whom the sender likes to be. So the frameworks' own ways to make one are shut,
and the ways to write one stay open. Code that calls the class makes what it likes.

Knows: what pydantic, msgspec (Litestar) and readers of `dataclasses.fields` (BlackSheep) go by.
Must not: import one of them before it asks.
"""

from collections.abc import Callable, Hashable
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from inspect import currentframe, get_annotations
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar, cast, get_type_hints

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core.core_schema import CoreSchema, PlainValidatorFunctionSchema

T = TypeVar("T")

_NOTHING: Any = Literal[()]
"""The type that no value is of."""


class _Text(str):
    """What a required text is annotated with at run time: text, of which nobody can make any."""

    __slots__ = ()

    def __new__(cls, text: object = "", /) -> NoReturn:
        raise TypeError(f"{type(text).__name__}: this is never read from a request")

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> NoReturn:
        # FastAPI's `Depends()` without a dependency, which would read what the class is called with from the query.
        raise TypeError(
            "a person or a token is never read from a request: use CurrentUser, OptionalUser or BearerToken"
        )


def output_only(model: type[T]) -> type[T]:
    """Make a dataclass or a named tuple one that no framework reads from a request, and every one can still write.

    pydantic takes an instance or nothing, also for a subclass. msgspec goes by the annotations of the class, BlackSheep
    by the types of the fields, FastAPI's `Depends()` by the signature, and none finds a way to make a required text. A
    class that requires none they can still make: `Anonymous`, which is nobody, and `Address`, a value like any other.
    """
    known = get_annotations(model)
    if is_dataclass(model):
        required = {field.name for field in fields(model) if field.type in (str, _NOTHING) and field.default is MISSING}
        for field in fields(model):
            if field.name in required:
                field.type = _NOTHING
    else:
        required = {name for name, kind in known.items() if kind is str}
    changed = cast("Any", model)
    maker = changed.__init__ if is_dataclass(model) else changed.__new__
    for annotated in (changed, maker):
        told = get_annotations(annotated)
        annotated.__annotations__ = {**told, **dict.fromkeys(required.intersection(told), _Text)}
    changed.__get_pydantic_core_schema__ = classmethod(_core_schema)
    changed.__get_pydantic_json_schema__ = classmethod(_json_schema)
    return model


def _core_schema(model: type[Any], _source: object, handler: "GetCoreSchemaHandler") -> "CoreSchema":
    from pydantic_core import core_schema  # noqa: PLC0415  it is pydantic that asks

    def instance(value: object) -> object:
        if isinstance(value, model):
            return value
        raise ValueError(f"{model.__name__} is never read from a request")

    kind, parts = _written(cast("Hashable", model))
    # Around what pydantic makes of the parts, and not in its place, so that an endpoint may leave some of them out.
    serialization = core_schema.wrap_serializer_function_ser_schema(
        lambda one, write: write(parts(one)), schema=handler.generate_schema(kind)
    )
    # With the name that pydantic gives its own models, so that a document has it once, under the name of the class.
    name = f"{model.__module__}.{model.__qualname__}:{id(model)}"
    return core_schema.no_info_plain_validator_function(instance, serialization=serialization, ref=name)


def _json_schema(model: type[Any], schema: "CoreSchema", handler: "GetJsonSchemaHandler") -> "JsonSchemaValue":
    """What is written of one, also where an endpoint by mistake takes one: an application's document stays whole."""
    serialization: Any = cast("PlainValidatorFunctionSchema", schema).get("serialization")
    return {**handler.resolve_ref_schema(handler(serialization["schema"])), "title": model.__name__}


@cache  # one type for each model, or a document that names it twice has two of one name
def _written(model: Any) -> tuple[Any, Callable[[Any], Any]]:
    """What pydantic is to write of a model, as a type that it knows, and how to get that from an instance."""
    hints = {name: str if hint is _Text else hint for name, hint in get_type_hints(model, include_extras=True).items()}
    if not is_dataclass(model):
        return tuple[tuple(hints.values())], tuple  # type: ignore[misc]  # its length is known at run time only
    from typing_extensions import TypedDict  # noqa: PLC0415  pydantic's, which before Python 3.12 takes no other

    names = [field.name for field in fields(model)]
    make_type = cast("Any", TypedDict)
    kind = make_type(f"{cast('type', model).__name__}Fields", {name: hints[name] for name in names})
    kind.__doc__, kind.__module__ = model.__doc__, model.__module__
    return kind, lambda one: {name: getattr(one, name) for name in names}


def require_text(one: object, *names: str) -> None:
    """Raise TypeError unless these fields are text: a reader that cannot make any may still put a null in its place."""
    for name in names:
        if not isinstance(getattr(one, name), str):
            raise TypeError(f"{name} must be a string")


in_debug_mode: list[Callable[[], bool]] = []
"""Each edge's answer to whether an application of its own is being served in debug mode now."""


_PASSING_ON = (__name__, "xwms_auth._core.base.models", "xwms_auth._core.adapters.asgi_state", "werkzeug.local")
"""The modules through which it comes here that somebody asks."""


def missing(person: object, name: str) -> object:
    """What somebody gets who asks for an attribute that a person does not have. Raises AttributeError for code.

    A template in debug mode gets something of Jinja's that only `is defined` and `default` may look at.
    """
    if name.startswith(("_", "jinja_")) or not _is_template_asking() or not any(asked() for asked in in_debug_mode):
        _raise(person, name)
    from jinja2 import StrictUndefined  # noqa: PLC0415  it is Jinja that asks

    known = ", ".join(known for known in dir(type(person)) if not known.startswith("_"))
    return StrictUndefined(
        f"a template asks the current user for {name!r}, which there is not, and Jinja would take it for false; "
        f"there are: {known}",
        name=name,
    )


def _raise(person: object, name: str) -> NoReturn:
    raise AttributeError(f"{type(person).__name__!r} object has no attribute {name!r}", name=name, obj=person)


def _is_template_asking() -> bool:
    frame = currentframe()
    while frame is not None and frame.f_globals.get("__name__") in _PASSING_ON:
        frame = frame.f_back
    return frame is not None and str(frame.f_globals.get("__name__")).startswith("jinja2.")
