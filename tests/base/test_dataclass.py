"""Our `dataclass` decorator does what the standard one does."""

import copy
import dataclasses
import inspect
import pickle
import weakref
from dataclasses import FrozenInstanceError, field
from typing import Any, ClassVar, get_type_hints

import pytest

from xwms_auth._core.base.dataclass import dataclass as ours

standard = dataclasses.dataclass


def shapes(decorator: Any) -> dict[str, Any]:
    """The kinds of class that the package has."""

    @decorator(frozen=True, slots=True)
    class Point:
        """Positional fields, with defaults."""

        x: int
        y: "int" = 2
        note: str = field(default="n", repr=False, compare=False)

    @decorator(frozen=True, slots=True, kw_only=True)
    class Base:
        """Fields by keyword, a check, and a field that the check sets."""

        kind: ClassVar[str] = "base"
        name: str
        tags: list[str] = field(default_factory=list)
        length: int = field(init=False, default=0)

        def __post_init__(self) -> None:
            object.__setattr__(self, "length", len(self.name))

    @decorator(frozen=True, slots=True, kw_only=True)
    class Derived(Base):
        """A subclass with a representation of its own."""

        extra: int | None = None

        def __repr__(self) -> str:
            return f"<{self.name}>"

    @decorator(slots=True, kw_only=True)
    class Changing:
        """Not frozen."""

        count: int = 0
        seen: set[str] = field(default_factory=set, init=False)

    @decorator(frozen=True, slots=True, eq=False, weakref_slot=True)
    class ByIdentity:
        """Compared by identity, and weakly referenced."""

        value: object

    @decorator(frozen=True)
    class WithDict:
        """Without slots."""

        first: str
        second: str = "s"

    @decorator(frozen=True, slots=True)
    class Single:
        """One field."""

        value: object

    @decorator(frozen=True, slots=True)
    class Empty:
        """No field."""

    return {name: kind for name, kind in locals().items() if isinstance(kind, type) and name != "decorator"}


OURS, STANDARD = shapes(ours), shapes(standard)
for name, kind in OURS.items():  # pickle finds a class by its name
    globals()[name] = kind
for kinds_made in (OURS, STANDARD):
    for name, kind in kinds_made.items():
        kind.__qualname__ = name
CALLS: dict[str, list[dict[str, Any]]] = {
    "Point": [{"x": 1}, {"x": 1, "y": 2, "note": "other"}, {"x": 2, "y": 3}],
    "Base": [{"name": "abc"}, {"name": "abc", "tags": ["t"]}],
    "Derived": [{"name": "abc"}, {"name": "abc", "extra": 3}],
    "Changing": [{}, {"count": 3}],
    "ByIdentity": [{"value": 1}],
    "WithDict": [{"first": "f"}, {"first": "f", "second": "t"}],
    "Single": [{"value": 1}, {"value": (1,)}],
    "Empty": [{}],
}
kinds = pytest.mark.parametrize("name", CALLS)


def outcome(action: Any) -> Any:
    try:
        return action()
    except Exception as error:  # noqa: BLE001  an outcome
        return type(error)


@kinds
def test_an_instance_looks_and_compares_as_with_the_standard_decorator(name: str):
    mine = [OURS[name](**values) for values in CALLS[name] * 2]
    theirs = [STANDARD[name](**values) for values in CALLS[name] * 2]
    assert [*map(repr, mine)] == [*map(repr, theirs)]
    assert [[a == b for b in mine] for a in mine] == [[a == b for b in theirs] for a in theirs]
    assert [mine[0] == other for other in ((1,), None, theirs[0])] == [False, False, False]
    assert [dataclasses.asdict(one) for one in mine] == [dataclasses.asdict(one) for one in theirs]
    if name != "ByIdentity":
        assert [outcome(lambda one=one: hash(one)) for one in mine] == [
            outcome(lambda one=one: hash(one)) for one in theirs
        ]


@kinds
def test_a_class_tells_the_same_about_itself(name: str):
    mine, theirs = OURS[name], STANDARD[name]

    def told(kind: Any) -> Any:
        own = [
            (one.name, one.type, one.default, one.init, one.repr, one.compare, one.kw_only)
            for one in dataclasses.fields(kind)
        ]
        return own, repr(kind.__dataclass_params__), kind.__match_args__, kind.__doc__, "__dict__" in dir(kind)

    assert told(mine) == told(theirs)
    assert str(inspect.signature(mine)) == str(inspect.signature(theirs))
    assert get_type_hints(mine.__init__) == get_type_hints(theirs.__init__)


@kinds
@pytest.mark.parametrize("values", [{"unknown": 1}, {}], ids=["unknown", "none"])
def test_wrong_arguments_are_refused_with_the_same_words(name: str, values: dict[str, Any]):
    def said(kind: Any) -> str:
        try:
            kind(**values)
        except TypeError as error:
            return str(error).rpartition("__init__")[2]
        return ""

    assert said(OURS[name]) == said(STANDARD[name])
    if name != "Empty":
        assert outcome(lambda: OURS[name](1, 2, 3, 4)) is TypeError


@pytest.mark.parametrize("name", sorted(CALLS.keys() - {"Changing"}))
def test_a_frozen_instance_cannot_be_changed(name: str):
    one = OURS[name](**CALLS[name][0])
    for attribute in [*(own.name for own in dataclasses.fields(one)), "other"]:
        with pytest.raises(FrozenInstanceError, match=f"cannot assign to field '{attribute}'"):
            setattr(one, attribute, 1)
        with pytest.raises(FrozenInstanceError, match=f"cannot delete field '{attribute}'"):
            delattr(one, attribute)


def test_a_changing_instance_can_be_changed():
    one = OURS["Changing"]()
    one.count = 5
    assert one == OURS["Changing"](count=5)
    with pytest.raises(AttributeError):
        one.other = 1


@kinds
def test_replaced_copied_and_pickled_instances_are_equal(name: str):
    one = OURS[name](**CALLS[name][-1])
    again = [copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))]
    if name != "ByIdentity":
        assert again == [one] * 3
    assert [*map(repr, again)] == [repr(one)] * 3
    if CALLS[name][-1]:
        assert repr(dataclasses.replace(one)) == repr(one)


def test_factories_make_a_value_for_each_instance():
    one, two = OURS["Base"](name="a"), OURS["Base"](name="b")
    one.tags.append("t")
    assert two.tags == []


def test_the_context_can_be_referenced_weakly():
    one = OURS["ByIdentity"](1)
    assert weakref.ref(one)() is one


@pytest.mark.parametrize("base", [OURS["WithDict"], STANDARD["WithDict"]])
def test_a_subclass_may_have_attributes_of_its_own(base: Any):
    class Plain(base):
        pass

    one = Plain("f")
    one.other = 1
    del one.other
    with pytest.raises(FrozenInstanceError):
        one.first = "changed"


def test_the_standard_decorator_accepts_our_classes_as_bases():
    @standard(frozen=True, slots=True, kw_only=True)
    class Person(OURS["Base"]):
        age: int

    one = Person(name="abc", age=3)
    assert (one.length, one.age) == (3, 3)
    with pytest.raises(FrozenInstanceError):
        one.age = 4
    with pytest.raises(TypeError, match="frozen"):
        standard(type("Loose", (OURS["Base"],), {}))


def test_patterns_match():
    match OURS["Point"](1, 5):
        case object(x=1, y=y):
            assert y == 5
    match OURS["Point"](1, 5):
        case value if value.__match_args__ == ("x", "y", "note"):
            pass
        case _:
            raise AssertionError


def test_an_instance_within_itself_can_be_shown():
    loop: list[object] = []
    one = OURS["Single"](loop)
    loop.append(one)
    assert repr(one) == "Single(value=[...])"
