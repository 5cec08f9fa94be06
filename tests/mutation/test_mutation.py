"""The list of equivalent mutants and the names of the security modules are those of today's source."""

from collections import Counter

import pytest

from tests.mutation.equivalent import read_list, without_equivalents
from tests.mutation.modules import ROOT, SECURITY_MODULES, find_modules
from tests.mutation.mutants import mutants_of, names_of_exceptions

LISTED = read_list()


@pytest.mark.parametrize("file", sorted({one.file for one in LISTED}))
def test_each_equivalent_mutant_of_the_list_can_still_be_made(file: str) -> None:
    entries = [one for one in LISTED if one.file == file]
    [module], _ = find_modules([file])
    _, equivalent = without_equivalents(mutants_of(module, names_of_exceptions()), entries)
    gone = [one for one in entries if not any(one.is_of(mutant) for mutant in equivalent)]
    assert not gone, "these are no mutants any more: take them out of equivalent.toml"


def test_each_equivalent_mutant_is_listed_once_with_a_reason() -> None:
    assert [one for one, times in Counter(LISTED).items() if times > 1] == []
    assert [one for one in LISTED if not one.why.strip().endswith(".")] == []


def test_each_name_of_a_security_module_finds_one_file() -> None:
    modules, unknown = find_modules(SECURITY_MODULES)
    assert unknown == []
    assert all((ROOT / module.shown).is_file() for module in modules)
