"""docs/doctor.md lists every broken set-up that the doctor is tried on, with what it says of it."""

import re

from tests.cli import test_doctor_command as settings_and_sites
from tests.cli import test_doctor_more_faults as more
from tests.cli import test_doctor_odd_sites as odd_sites
from tests.tools.docs_pages import DOCS


def test_the_page_lists_every_set_up_that_is_tried():
    tried = [
        *settings_and_sites.BROKEN,
        *settings_and_sites.RISKY,
        *settings_and_sites.ON_THE_WAY,
        *odd_sites.BETWEEN,
        *settings_and_sites.APPLICATIONS,
        *settings_and_sites.ADDRESSES,
        *more.AROUND,
        *more.BEHIND,
        *more.IN_CODE,
    ]
    page = (DOCS / "doctor.md").read_text(encoding="utf-8")
    table = page.partition("<!-- set-ups -->")[2].partition("<!-- end of set-ups -->")[0]
    listed = dict(re.findall(r"^\| ([^|]+?) \| `([^|]+)` \| (?:fault|warning) \| [^|]+ \|", table, re.M))
    assert len(tried) >= 20
    assert sorted(listed) == sorted(tried)
    # The subject of a case stands before what is told, after a state if there is one.
    cases = settings_and_sites.BROKEN | settings_and_sites.ON_THE_WAY | odd_sites.BETWEEN
    cases |= settings_and_sites.APPLICATIONS | settings_and_sites.ADDRESSES | more.AROUND | more.BEHIND | more.IN_CODE
    assert {name: case[-2] for name, case in cases.items()} | {
        name: case[-1] for name, case in settings_and_sites.RISKY.items()
    } == listed
