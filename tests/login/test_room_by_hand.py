"""Which pending login makes room for which, case by case, without any I/O."""

from tests.login.test_accounts_by_hand import Shop
from tests.login.test_flow_steps import answer
from tests.login.test_login_cookies_by_hand import learned, page, size
from tests.login.visits import Visit, code
from tests.tools.site import FROM_ELSEWHERE, LOGIN
from xwms_auth._core.accounts.linker import ProofNeeded

FRESH = "a-token-that-sign-token-never-gave"
LONG = answer(sub="17", name="N" * 250, given_name="G" * 120)


def begin(visit: Visit, query: str = "next=/hello", sent: object = None) -> str:
    """Start a login; gives the name of its cookie."""
    before = set(visit.names("login"))
    visit.now += 1
    visit.start(query, sent)  # type: ignore[arg-type]
    (name,) = set(visit.names("login")) - before
    return name


def test_an_unconfirmed_login_makes_room_first_then_those_begun_elsewhere_then_ones_own_the_oldest_first():
    """SM-10"""
    visit = learned()
    mine, a, b = begin(visit), begin(visit, sent=FROM_ELSEWHERE), begin(visit, sent=FROM_ELSEWHERE)
    waits = begin(visit)
    assert visit.come_back(FRESH).status == 303
    later = [begin(visit) for _ in range(6)]
    assert len(visit.names("login")) == 10
    for gone in (waits, a, b, mine, later[0]):
        assert gone in visit.jar
        visit.now += 1
        begun = visit.ask(LOGIN, "next=/hello")
        assert gone not in visit.jar
        assert len(visit.names("login")) == 10
        # In this answer, whatever room there is: the next request has both otherwise.
        assert (len(begun.cookies), begun.deferrable) == (2, ())


def test_another_site_pushes_out_no_link_that_waits():
    """Account takeover: nor does it make anybody click a second time."""
    visit = Visit(Shop(found=ProofNeeded(key="7"), here="7"), callback_token="same")
    assert visit.log_in(link=True).status == 303
    for _ in range(9):
        begin(visit)
    kept = dict(visit.jar)
    assert code(visit.ask(LOGIN, "next=/hello", FROM_ELSEWHERE)) == (429, "too_many_logins")
    assert visit.jar == kept


def test_a_login_that_waits_pushes_out_none_of_ones_own_and_loses_claims_instead():
    """Anybody can bring tokens here."""
    visit = Visit(callback_token="fresh", confirm_person=True)
    names = [begin(visit, f"next={page(380)}") for _ in range(4)]
    assert size(visit.jar) > 2600
    visit.reply = LONG
    assert visit.come_back(FRESH).status == 303
    assert visit.names("login") == names
    assert size(visit.jar) <= 3000


def test_a_login_that_waits_is_no_eleventh_one():
    visit = Visit(callback_token="fresh", confirm_person=True)
    names = [begin(visit, "next=/") for _ in range(10)]
    visit.reply = answer(sub="17")
    assert visit.come_back(FRESH).status == 303
    assert visit.names("login") == names


def test_a_login_that_waits_pushes_out_those_begun_elsewhere():
    visit = learned()
    theirs = [begin(visit, f"next={page(200)}", FROM_ELSEWHERE) for _ in range(5)]
    mine = begin(visit)
    visit.reply = LONG
    assert visit.come_back(FRESH).status == 303
    assert visit.names("login") == [*theirs[1:], mine]
    assert 2600 < size(visit.jar) <= 3000


def test_of_many_that_wait_the_oldest_makes_room():
    visit = Visit(callback_token="fresh", confirm_person=True)
    visit.reply = LONG
    names = []
    for number in range(5):
        names.append(begin(visit))
        assert visit.come_back(f"{FRESH}-{number}").status == 303
    assert visit.names("login") == names[-len(visit.names("login")) :]
    assert 2000 < size(visit.jar) <= 3000


def test_logins_are_in_the_order_in_which_they_began_whatever_that_of_the_cookies_is():
    visit = Visit(callback_token="same")
    names = [begin(visit) for _ in range(10)]
    visit.jar = dict(reversed(visit.jar.items()))
    begin(visit)
    assert set(names) - set(visit.names("login")) == {names[0]}
