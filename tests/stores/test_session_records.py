"""What a store keeps of a session is what it gives back: every field, alone and together with every other one."""

import json
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xwms_auth import Secret, User
from xwms_auth._core.base.models import TokenSet
from xwms_auth._core.base.session import Session
from xwms_auth._core.base.session_record import FIELDS, from_record, to_record
from xwms_auth._core.base.strict_json import MAX_CLAIM, MAX_MOMENT, MAX_SUB, parse_sub, plain_text

ISSUER = "https://xwms.nl"
STARTED = 1_800_000_000

# Of characters that are allowed, so that next to nothing is filtered: Hypothesis gives up where too much is.
texts = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=MAX_CLAIM).filter(plain_text)
printable = st.characters(categories=["L", "M", "N", "P", "S"], include_characters=" ")
moments = st.integers(0, MAX_MOMENT)
later = st.integers(STARTED, MAX_MOMENT)
# Not `.map(Secret)`: a secret that is called returns itself, and Hypothesis takes that for a map that does nothing.
secrets = st.builds(Secret, st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=200))
scopes = st.lists(st.text(st.sampled_from("abc:/._-"), min_size=1), max_size=4).map(tuple)


def is_sub(text):
    try:
        return parse_sub(text) == text
    except ValueError:
        return False


TOKENS = {
    "access_token": secrets,
    "refresh_token": st.none() | secrets,
    "id_token": st.none(),  # it is read at the login and not kept
    "scope": scopes,
    "expires_at": st.none() | moments,
    "sid": st.none() | texts,
    "number": st.integers(0, 2**40),
}
tokens = st.builds(TokenSet, **TOKENS)

PERSON = {
    "issuer": st.just(ISSUER),  # the store's own: what is sealed for one client is read by no other
    "sub": st.text(printable, min_size=1, max_size=MAX_SUB).filter(is_sub),
    "name": st.none() | texts,
    "given_name": st.none() | texts,
    "family_name": st.none() | texts,
    "email": st.none() | texts,
    "email_verified": st.booleans(),
    "picture": st.none() | texts,
}
# No reader of XWMS's answers makes a person whose address is verified but unknown.
people = st.builds(User, **PERSON).map(lambda user: user if user.email else replace(user, email_verified=False))

SESSION = {
    "id": texts,
    "user": people,
    "started_at": st.just(STARTED),
    "seen_at": later,
    "checked_at": later,
    "counts_from": later,
    "device": st.none() | texts,
    "tokens": st.none() | tokens,
    "proved_at": st.none() | moments,
}
sessions = st.builds(Session, **SESSION)

BARE_TOKENS = TokenSet(access_token=Secret("a"), refresh_token=None, id_token=None, scope=(), expires_at=None)
BARE_PERSON = User(issuer=ISSUER, sub="1")
BARE_SESSION = Session(id="i", user=BARE_PERSON, started_at=STARTED, seen_at=STARTED)


def read_again(session):
    return from_record(json.loads(json.dumps(to_record(session))), issuer=ISSUER)


@pytest.mark.parametrize(("kind", "known"), [(Session, SESSION), (User, PERSON), (TokenSet, TOKENS)])
def test_every_field_that_there_is_has_its_values_here(kind, known):
    assert {field.name for field in fields(kind)} == set(known)


@given(sessions)
def test_a_session_comes_out_of_its_record_as_it_went_in(session):
    assert read_again(session) == session


@pytest.mark.parametrize("name", SESSION)
@settings(max_examples=50)
@given(data=st.data())
def test_each_field_of_a_session_alone_comes_out_as_it_went_in(name, data):
    session = replace(BARE_SESSION, **{name: data.draw(SESSION[name])})
    assert read_again(session) == session


@pytest.mark.parametrize("name", PERSON)
@settings(max_examples=50)
@given(data=st.data())
def test_each_field_of_a_person_alone_comes_out_as_it_went_in(name, data):
    needed = {"email": "a@b"} if name == "email_verified" else {}
    session = replace(BARE_SESSION, user=replace(BARE_PERSON, **needed, **{name: data.draw(PERSON[name])}))
    assert read_again(session) == session


@pytest.mark.parametrize("name", TOKENS)
@settings(max_examples=50)
@given(data=st.data())
def test_each_field_of_a_token_set_alone_comes_out_as_it_went_in(name, data):
    session = replace(BARE_SESSION, tokens=replace(BARE_TOKENS, **{name: data.draw(TOKENS[name])}))
    assert read_again(session) == session


def changed(place, value):
    record = to_record(BARE_SESSION)
    record += [None] * (len(FIELDS) - len(record))
    record[place] = value
    return record


def test_what_is_no_text_is_left_out():
    for name in ("name", "given_name", "family_name", "email", "picture", "device"):
        for wrong in (7, True, [], {}, 1.5):
            assert from_record(changed(FIELDS.index(name), wrong), issuer=ISSUER) == BARE_SESSION, (name, wrong)


@given(sessions, st.lists(st.none() | st.integers() | texts, max_size=3))
def test_a_record_of_a_newer_version_is_read_as_far_as_it_is_known(session, more):
    record = to_record(session)
    record += [None] * (len(FIELDS) - len(record))
    assert from_record([*record, *more], issuer=ISSUER) == session


OLD = (
    '["i",1800000000,1800000060,"xwms-user-1","A B","A","B","a@b",1,"https://x/p","Firefox",1800000010,1800000020,5,'
    '["at","rt","openid profile",1800000300,"sid",2,"idt"]]'
)


def test_the_places_of_the_fields_are_those_of_the_first_version():
    """What was written then is read for ever: a new field goes to the end. See docs/versions.md."""
    session = from_record(json.loads(OLD), issuer=ISSUER)
    assert session is not None
    user = session.user
    assert (user.sub, user.name, user.given_name, user.family_name, user.verified_email, user.picture) == (
        "xwms-user-1", "A B", "A", "B", "a@b", "https://x/p",
    )  # fmt: skip
    times = (session.started_at, session.seen_at, session.checked_at, session.counts_from, session.proved_at)
    assert times == (1800000000, 1800000060, 1800000010, 1800000020, 5)
    assert (session.id, session.device) == ("i", "Firefox")
    tokens = session.tokens
    assert tokens is not None
    assert (tokens.access_token, tokens.refresh_token, tokens.id_token) == (Secret("at"), Secret("rt"), Secret("idt"))
    assert (tokens.scope, tokens.expires_at, tokens.sid, tokens.number) == (("openid", "profile"), 1800000300, "sid", 2)
    assert json.dumps(to_record(session), separators=(",", ":")) == OLD


@given(tokens=st.recursive(st.none() | st.integers() | st.text(), lambda one: st.lists(one, max_size=8)))
def test_tokens_that_are_no_record_of_any_are_none_and_the_session_goes_on(tokens):
    """An older version, or a newer one, may have written something else."""
    session = Session(id="id", user=User(issuer=ISSUER, sub="1"), started_at=STARTED, seen_at=STARTED)
    record = [*to_record(session), *[None] * len(FIELDS)][: len(FIELDS) - 1]
    record.append(tokens)
    assert from_record(json.loads(json.dumps(record)), issuer=ISSUER) == session
