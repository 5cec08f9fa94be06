"""Keeps web frameworks from building our models out of a request: the decorator `output_only`.

Impersonation: a web framework builds the class that an endpoint's parameter is annotated with from the request's body
or query. A `User` built so would be whomever the sender claims to be. So the frameworks' ways to build one are blocked,
and the ways to serialize one keep working. Code that calls the class itself is not restricted.

Covers pydantic, msgspec (Litestar) and frameworks that read `dataclasses.fields` (BlackSheep). This module imports none
of them before it is called by one.
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
"""A type without values."""


class _Text(str):
    """The annotation of a required text field at run time: a string type that cannot be instantiated."""

    __slots__ = ()

    def __new__(cls, text: object = "", /) -> NoReturn:
        raise TypeError(f"{type(text).__name__}: this is never read from a request")

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> NoReturn:
        # For FastAPI's `Depends()` without a dependency, which would read the arguments of the class from the query.
        raise TypeError(
            "a person or a token is never read from a request: use CurrentUser, OptionalUser or BearerToken"
        )


def output_only(model: type[T]) -> type[T]:
    """Change a dataclass or named tuple so that no framework reads it from a request, and all can still serialize it.

    pydantic accepts only instances, also for a subclass. msgspec uses the annotations of the class, BlackSheep the
    types of the fields and FastAPI's `Depends()` the signature, and none of them can make a value for a required text
    field. A class without such a field can still be built: `Anonymous`, which is nobody, and `Address`, a plain value.
    """
    annotations = get_annotations(model)
    if is_dataclass(model):
        required = {field.name for field in fields(model) if field.type in (str, _NOTHING) and field.default is MISSING}
        for field in fields(model):
            if field.name in required:
                field.type = _NOTHING
    else:
        required = {name for name, kind in annotations.items() if kind is str}
    changed = cast("Any", model)
    # The constructor of our dataclasses gets those of the class when it is compiled.
    for annotated in (changed,) if is_dataclass(model) else (changed, changed.__new__):
        annotations = get_annotations(annotated)
        annotated.__annotations__ = {**annotations, **dict.fromkeys(required.intersection(annotations), _Text)}
    changed.__get_pydantic_core_schema__ = classmethod(_core_schema)
    changed.__get_pydantic_json_schema__ = classmethod(_json_schema)
    return model


def _core_schema(model: type[Any], _source: object, handler: "GetCoreSchemaHandler") -> "CoreSchema":
    from pydantic_core import core_schema  # noqa: PLC0415  only pydantic calls this

    def instance(value: object) -> object:
        if isinstance(value, model):
            return value
        raise ValueError(f"{model.__name__} is never read from a request")

    kind, values = _serialized_type(cast("Hashable", model))
    # Wraps pydantic's serializer instead of replacing it, so that an endpoint may exclude some of the fields.
    serialization = core_schema.wrap_serializer_function_ser_schema(
        lambda one, serialize: serialize(values(one)), schema=handler.generate_schema(kind)
    )
    # A name as pydantic gives its own models, so that an OpenAPI document has it once, under the name of the class.
    name = f"{model.__module__}.{model.__qualname__}:{id(model)}"
    return core_schema.no_info_plain_validator_function(instance, serialization=serialization, ref=name)


def _json_schema(model: type[Any], schema: "CoreSchema", handler: "GetJsonSchemaHandler") -> "JsonSchemaValue":
    """The schema of the output, also where an endpoint takes one by mistake: the OpenAPI document must still build."""
    serialization: Any = cast("PlainValidatorFunctionSchema", schema).get("serialization")
    return {**handler.resolve_ref_schema(handler(serialization["schema"])), "title": model.__name__}


@cache  # one type for each model: otherwise a document that uses it twice has two types of the same name
def _serialized_type(model: Any) -> tuple[Any, Callable[[Any], Any]]:
    """The type that pydantic serializes a model as, and a function that gets its values from an instance."""
    hints = {name: str if hint is _Text else hint for name, hint in get_type_hints(model, include_extras=True).items()}
    if not is_dataclass(model):
        return tuple[tuple(hints.values())], tuple  # type: ignore[misc]  # its length is known at run time only
    from typing_extensions import TypedDict  # noqa: PLC0415  before Python 3.12 pydantic accepts no other TypedDict

    names = [field.name for field in fields(model)]
    make_type = cast("Any", TypedDict)
    kind = make_type(f"{cast('type', model).__name__}Fields", {name: hints[name] for name in names})
    kind.__doc__, kind.__module__ = model.__doc__, model.__module__
    return kind, lambda one: {name: getattr(one, name) for name in names}


in_debug_mode: list[Callable[[], bool]] = []
"""One function for each framework, which returns whether it is serving a request of an application in debug mode."""


_INTERMEDIATE = (__name__, "xwms_auth._core.base.models", "xwms_auth._core.adapters.current_user", "werkzeug.local")
"""Modules between the code that reads an attribute and `missing`."""


def missing(person: object, name: str) -> object:
    """The value of an attribute that a person does not have. Raises AttributeError for code.

    A template in debug mode gets Jinja's `StrictUndefined`, which allows only `is defined` and `default`.
    """
    if name.startswith(("_", "jinja_")) or not _is_read_by_template() or not any(debug() for debug in in_debug_mode):
        _raise(person, name)
    from jinja2 import StrictUndefined  # noqa: PLC0415  only a Jinja template gets here

    known = ", ".join(known for known in dir(type(person)) if not known.startswith("_"))
    return StrictUndefined(
        f"a template uses {name!r} of the current user, which does not exist; without debug mode Jinja would treat it "
        f"as false. Available: {known}",
        name=name,
    )


def _raise(person: object, name: str) -> NoReturn:
    raise AttributeError(f"{type(person).__name__!r} object has no attribute {name!r}", name=name, obj=person)


def _is_read_by_template() -> bool:
    frame = currentframe()
    while frame is not None and frame.f_globals.get("__name__") in _INTERMEDIATE:
        frame = frame.f_back
    return frame is not None and str(frame.f_globals.get("__name__")).startswith("jinja2.")
