"""Which tokens are given up, and what becomes of those that are to be revoked, without a server: it is played."""

from dataclasses import replace
from typing import Any

import pytest

from tests.oauth2.test_flow_by_hand import DISCOVERED, NAMED, SESSION, Server, answer
from tests.oauth2.test_refresh_by_hand import ISSUER, NOW, OLD, context_of
from xwms_auth import Identity, Secret, User
from xwms_auth._core.base.models import EndReason, TokenSet
from xwms_auth._core.base.session import KEPT_AFTER_END, Session
from xwms_auth._core.config.context import Context
from xwms_auth._core.oauth2.token_revocation import MAX_AFTER_ANSWER, WARNING_INTERVAL, revoke_pending, revoke_tokens
from xwms_auth._core.oauth2.token_revocation import retry_pending as retry
from xwms_auth._core.sessions.given_up_tokens import (
    give_up_ended,
    give_up_replaced,
    give_up_unused,
    settle_new,
)


def tokens_of(name: str, sid: str | None = None) -> TokenSet:
    return replace(OLD, access_token=Secret(name), refresh_token=None, sid=sid)


def session_of(tokens: TokenSet | None, sub: str = "17") -> Session:
    return replace(SESSION, id=f"session of {sub}", user=User(issuer=ISSUER, sub=sub), tokens=tokens)


def waiting(context: Context) -> list[str]:
    """The tokens that wait to be revoked, each once."""
    found: list[str] = []
    while (one := context.state.pending_revocations.take(now=NOW)) is not None:
        found.append(one.tokens.access_token.reveal())
    return found


# --- which are given up ---

SAME: list[tuple[Any, TokenSet | None, bool]] = [
    (session_of(tokens_of("old", "s-1")), tokens_of("new", "s-1"), True),
    (session_of(tokens_of("old")), tokens_of("new"), True),
    (session_of(tokens_of("old", "s-1")), tokens_of("new", "s-2"), False),
    (session_of(tokens_of("old", "s-1")), tokens_of("new"), False),
    (session_of(tokens_of("old")), tokens_of("new", "s-1"), False),
    (session_of(tokens_of("old", "s-1"), sub="18"), tokens_of("new", "s-1"), False),
    (session_of(tokens_of("old"), sub="18"), tokens_of("new"), False),
    (session_of(tokens_of("old", "s-1")), None, False),
]
ANNA = Identity(ISSUER, "17")


@pytest.mark.parametrize(("before", "tokens", "same"), SAME)
def test_a_login_gives_up_the_tokens_of_another_one_that_it_replaces_once(before, tokens, same):
    context = context_of()
    give_up_replaced(context, before, ANNA, tokens, now=NOW)
    assert waiting(context) == ([] if same else ["old"])
    give_up_replaced(context, before, ANNA, tokens, now=NOW + KEPT_AFTER_END - 1)
    assert waiting(context) == []


@pytest.mark.parametrize("before", [None, EndReason.REVOKED, session_of(None)])
def test_where_there_was_nothing_nothing_is_given_up(before):
    context = context_of()
    give_up_replaced(context, before, ANNA, tokens_of("new"), now=NOW)
    assert waiting(context) == []


@pytest.mark.parametrize(
    ("here", "tokens", "same"), [one for one in SAME if one[1] is not None] + [(None, tokens_of("new"), False)]
)
def test_a_login_that_becomes_no_session_gives_up_its_own_tokens_unless_it_is_that_of_the_session(here, tokens, same):
    context = context_of()
    give_up_unused(context, here, ANNA, tokens, now=NOW)
    assert waiting(context) == ([] if same else ["new"])


@pytest.mark.parametrize("here", [None, session_of(tokens_of("old")), session_of(None)])
def test_a_login_without_tokens_gives_up_none(here):
    context = context_of()
    give_up_unused(context, here, ANNA, None, now=NOW)
    assert waiting(context) == []


@pytest.mark.parametrize(
    ("kept", "given_up"), [(None, []), (session_of(tokens_of("new")), []), (session_of(None), ["new"])]
)
def test_tokens_that_did_not_fit_into_the_cookie_are_given_up(kept, given_up):
    context = context_of()
    steps = settle_new(context, "handle", ANNA, tokens_of("new"), now=NOW)
    next(steps)
    with pytest.raises(StopIteration):
        steps.send(kept)
    assert waiting(context) == given_up
    assert list(settle_new(context, "handle", ANNA, None, now=NOW)) == [], "the store is asked nothing"


def test_the_tokens_of_a_session_that_is_too_old_are_given_up_once():
    context = context_of()
    told = []
    for now in (NOW, NOW, NOW + KEPT_AFTER_END - 1):
        give_up_ended(context, session_of(tokens_of("old")), now=now)
        told.append(waiting(context))
    assert told == [["old"], [], []]
    give_up_ended(context, session_of(None, sub="18"), now=NOW)
    give_up_ended(context, session_of(tokens_of("another's"), sub="18"), now=NOW)
    assert waiting(context) == ["another's"]


# --- what becomes of them ---

OK, DOWN = answer(), answer(503)


def revoking(revoke: Any = OK, **options: Any) -> Server:
    return Server(context_of(**{**NAMED, **options}), revoke=revoke)


def pending(server: Server, *, now: int) -> tuple[str, int, bool] | None:
    one = server.context.state.pending_revocations.take(now=now)
    return None if one is None else (one.tokens.access_token.reveal(), one.since, one.failed)


def test_tokens_that_are_revoked_bring_the_next_one_that_waits_with_them(caplog):
    caplog.set_level("INFO")
    server = revoking()
    for name in ("first", "second"):
        server.context.state.give_up(tokens_of(name), of=ANNA, now=NOW)
    server.play(revoke_tokens(server.context, OLD, of=ANNA, now=NOW))
    assert server.asked == ["revoke"] * 2
    assert pending(server, now=NOW) == ("second", NOW, False)
    assert "token_revoked_late" not in caplog.text


def test_tokens_that_could_not_be_revoked_are_kept_and_the_others_wait_too(caplog):
    caplog.set_level("INFO")
    server = revoking(DOWN)
    server.context.state.give_up(tokens_of("first"), of=ANNA, now=NOW - 5)
    server.play(revoke_tokens(server.context, OLD, of=ANNA, now=NOW))
    assert server.asked == ["revoke"]
    assert "token_not_revoked cause=" in caplog.text
    server.play(retry(server.context, now=NOW + 59))
    assert server.asked == ["revoke"]
    server.play(retry(server.context, now=NOW + 60))
    assert server.asked == ["revoke"] * 2
    server.answers["revoke"] = OK
    server.play(retry(server.context, now=NOW + 180))
    assert caplog.text.count("token_revoked_late") == 1
    server.play(retry(server.context, now=NOW + 181))
    assert caplog.text.count("token_revoked_late") == 2
    assert (server.asked, pending(server, now=NOW + 181)) == (["revoke"] * 4, None)


def test_a_failure_is_not_followed_by_another_one_when_the_clock_was_set_back():
    server = revoking(DOWN)
    server.play(revoke_tokens(server.context, tokens_of("first"), of=ANNA, now=NOW))
    server.play(revoke_tokens(server.context, tokens_of("second"), of=ANNA, now=NOW - 9000))
    assert server.asked == ["revoke"] * 2


def test_how_long_a_revocation_waits_is_counted_from_when_it_was_to_be():
    server = revoking(DOWN)
    server.context.state.give_up(OLD, of=ANNA, now=NOW)
    server.play(retry(server.context, now=NOW + 500))
    assert pending(server, now=NOW + 900) == ("old", NOW, True)


def test_an_answer_ends_the_pause():
    server = revoking(DOWN)
    server.play(revoke_tokens(server.context, tokens_of("first"), of=ANNA, now=NOW))
    server.answers["revoke"] = OK
    server.play(revoke_tokens(server.context, tokens_of("second"), of=ANNA, now=NOW + 1))
    assert server.asked == ["revoke"] * 3
    assert pending(server, now=NOW + 1) is None


def test_a_revocation_that_is_broken_off_is_made_up_for_later(caplog):
    server = revoking()
    steps = revoke_tokens(server.context, OLD, of=ANNA, now=NOW)
    next(steps)
    steps.close()
    assert pending(server, now=NOW + 59) is None
    assert pending(server, now=NOW + 60) == ("old", NOW, True)
    assert "token_not_revoked" not in caplog.text


def test_nothing_is_asked_where_nothing_waits():
    server = revoking()
    server.play(retry(server.context, now=NOW))
    server.play(revoke_pending(server.context, now=NOW))
    assert server.asked == []


def test_after_an_answer_a_few_are_revoked():
    server = revoking()
    for number in range(MAX_AFTER_ANSWER + 2):
        server.context.state.give_up(tokens_of(str(number)), of=ANNA, now=NOW)
    server.play(revoke_pending(server.context, now=NOW))
    assert server.asked == ["revoke"] * MAX_AFTER_ANSWER
    assert pending(server, now=NOW) == ("2", NOW, False)


def test_a_server_that_cannot_revoke_is_asked_nothing_and_the_log_says_so_once_an_hour(caplog):
    server = Server(context_of(scopes="openid"), openid_configuration=answer(**DISCOVERED))
    for now in (NOW, NOW + 1, NOW + WARNING_INTERVAL - 1):
        server.play(revoke_tokens(server.context, OLD, of=ANNA, now=now))
    assert caplog.text.count("tokens_not_revocable cause=") == 1
    server.play(revoke_tokens(server.context, OLD, of=ANNA, now=NOW + WARNING_INTERVAL))
    assert caplog.text.count("tokens_not_revocable cause=") == 2
    assert set(server.asked) == {"openid_configuration"}
    assert pending(server, now=NOW + 9999) is None
