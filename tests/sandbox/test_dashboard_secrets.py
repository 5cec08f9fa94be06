"""The dashboard's page of secrets: what a person does there, and what an app's calls are answered afterwards."""

import re
from datetime import UTC, datetime

import pytest
from werkzeug.test import TestResponse

from tests.sandbox.local_xwms import REDIRECT, LocalXWMS
from tests.sandbox.office import Office, faults, notice, value_of, words
from tests.sandbox.staff import ClientPage

GRANTED = (200, "The sign token was created.")
UNKNOWN = (401, "Invalid client credentials: the client secret is wrong.")
SWITCHED_OFF = (401, "The client secret is not active.")
EXPIRED = (401, "The client secret has expired.")
NOT_LINKED = (403, "The domain is not allowed for this client secret.")

SOON = "2027-01-20"  # the tests' clock begins at 2027-01-15T08:00:00Z
END_OF_SOON = datetime(2027, 1, 21, tzinfo=UTC).timestamp()


class Shop(ClientPage):
    """A client's secrets, with its owner at the dashboard; every page that the owner saw is kept."""

    section = "secrets"

    def questions(self) -> list[str]:
        """The pages that ask before a secret is regenerated; their forms have the same addresses."""
        return re.findall(r'href="/dashboard([^"]+/regenerate)"', self.office.get(self.page).text)

    def regenerate(self, nth: int = 0) -> TestResponse:
        """Regenerate the nth secret, and say yes."""
        question = self.questions()[nth]
        return self.office.submit(question, question)

    def call(self, secret: str, domain: str = "localhost") -> tuple[int, str]:
        """What an app with this secret is told on this domain."""
        answer = self.xwms.call(
            "sign-token",
            {"redirect_url": REDIRECT},
            X_Client_Id=self.client_id,
            X_Client_Secret=secret,
            X_Client_Domain=domain,
        )
        return answer.status_code, answer.json["message"]

    def add(self, label: str = "Production", **fields: object) -> str:
        """Add a secret with the form of the page, and copy it."""
        answer = self.office.submit(self.page, "/secrets", label=label, **fields)
        assert answer.status_code == 200, faults(answer)
        return value_of(answer, "client-secret")

    def add_domain(self, name: str) -> str:
        """Add a domain that no secret is for; its id in the forms."""
        self.office.submit(f"/clients/{self.number}/domains", "/domains", domain=name, secret=[])
        number = re.search(rf'value="(\d+)"[^>]*> <span>{re.escape(name)}<', self.office.get(self.page).text)
        assert number
        return number[1]

    def cards(self) -> list[str]:
        """What each secret is called, and its state."""
        headings = re.findall(r'<section class="panel item">(.*?)</h2>', self.office.get(self.page).text, re.S)
        return [" ".join(re.sub(r"<[^>]*>", " ", heading).split()) for heading in headings]


def begin(xwms: LocalXWMS) -> Shop:
    office = Office(xwms)
    office.register()
    office.activate_plan()
    return Shop(xwms, office, *office.create_client())


@pytest.fixture
def shop(xwms) -> Shop:
    return begin(xwms)


def test_the_client_page_leads_to_the_secrets(shop):
    assert f'<a href="/dashboard{shop.page}">Secrets</a></dd>' in shop.office.get(f"/clients/{shop.number}").text


def test_a_new_secret_works_beside_the_others(shop):
    fresh = shop.add("  Production   server ")
    assert fresh != shop.secret
    assert len(fresh) >= 43
    assert (shop.call(fresh), shop.call(shop.secret)) == (GRANTED, GRANTED)
    assert shop.cards() == ["Default active", "Production server active"]


def test_after_regenerating_the_old_value_is_refused_and_the_new_one_works(shop):
    answer = shop.regenerate()
    fresh = value_of(answer, "client-secret")
    assert (shop.call(shop.secret), shop.call(fresh)) == (UNKNOWN, GRANTED)
    assert value_of(answer, "client-id") == shop.client_id


def test_regenerating_one_secret_leaves_the_others_alone(shop):
    other = shop.add()
    shop.regenerate()
    assert (shop.call(shop.secret), shop.call(other)) == (UNKNOWN, GRANTED)


def test_the_page_says_when_a_secret_was_made_and_when_it_was_regenerated(shop):
    assert "Created 15 Jan 2027, 08:00 UTC Expires never" in shop.office.page_text(shop.page)
    shop.xwms.clock.now += 3600
    shop.regenerate()
    assert "Regenerated 15 Jan 2027, 09:00 UTC Expires never" in shop.office.page_text(shop.page)


def test_a_form_that_is_sent_twice_regenerates_once(shop):
    (question,) = shop.questions()
    form = shop.office.form(question, question)
    first = shop.office.http.post(form.action, data=form.fields)
    again = shop.office.http.post(form.action, data=form.fields)
    assert (first.status_code, again.status_code) == (200, 422)
    assert "has been regenerated meanwhile" in faults(again)
    assert 'id="client-secret"' not in again.text
    assert shop.call(value_of(first, "client-secret")) == GRANTED
    assert shop.office.http.post(form.action, data=form.fields).status_code == 422


def test_before_a_secret_is_regenerated_a_page_says_what_ends_and_changes_nothing(shop):
    shop.add()
    shop.call(shop.secret)
    asked = shop.office.get(shop.questions()[1])
    for said in (
        "Regenerate “Production”?",
        "This ends logins at once.",
        "nobody can log in from localhost 1 login that is under way cannot be completed",
        "every call with it is refused",
    ):
        assert said in words(asked)
    assert (shop.call(shop.secret), len(shop.cards())) == (GRANTED, 2)
    assert f'<a href="/dashboard{shop.page}">Keep the old secret</a>' in asked.text


def test_reloading_the_answer_makes_no_second_secret(shop):
    form = shop.office.form(shop.page, "/secrets")
    sent = form.fields | {"label": "Production"}
    first = shop.office.http.post(form.action, data=sent)
    again = shop.office.http.post(form.action, data=sent)
    assert (first.status_code, again.status_code) == (200, 422)
    assert 'id="client-secret"' not in again.text
    assert len(shop.cards()) == 2
    assert shop.call(value_of(first, "client-secret")) == GRANTED


def test_regenerating_without_a_revision_changes_nothing(shop, subtests):
    for revision in ("", "x", "-1", "²", "9" * 40):
        with subtests.test(revision=revision):
            assert shop.office.post(shop.questions()[0], revision=revision).status_code == 404
            assert shop.call(shop.secret) == GRANTED


def test_a_secret_that_is_switched_off_is_refused_until_it_is_switched_on(shop):
    answer = shop.submit("active")
    assert "switched off" in notice(answer)
    assert (shop.call(shop.secret), shop.cards()[0]) == (SWITCHED_OFF, "Default off")
    shop.submit("active")
    assert (shop.call(shop.secret), shop.cards()[0]) == (GRANTED, "Default active")


def test_a_secret_works_to_the_end_of_its_last_day(shop):
    secret = shop.add(expires_at=SOON)
    assert "Expires at the end of 20 Jan 2027 UTC" in shop.office.page_text(shop.page)
    shop.xwms.clock.now = END_OF_SOON - 1
    assert (shop.call(secret), shop.cards()[1]) == (GRANTED, "Production active")
    shop.xwms.clock.now = END_OF_SOON
    assert (shop.call(secret), shop.cards()[1]) == (EXPIRED, "Production expired")
    assert "Expired at the end of 20 Jan 2027 UTC" in shop.office.page_text(shop.page)
    assert shop.call(shop.secret) == GRANTED


@pytest.mark.parametrize("typed", ["2027-01-15T09:30", "2027-01-15T09:30:00"])
def test_an_expiry_may_be_a_moment(shop, typed):
    secret = shop.add(expires_at=typed)
    assert "Expires 15 Jan 2027, 09:30 UTC" in shop.office.page_text(shop.page)
    shop.xwms.clock.now = datetime(2027, 1, 15, 9, 29, 59, tzinfo=UTC).timestamp()
    assert shop.call(secret) == GRANTED
    shop.xwms.clock.now += 1
    assert shop.call(secret) == EXPIRED


def test_today_is_a_last_day(shop):
    assert shop.call(shop.add(expires_at="2027-01-15")) == GRANTED


def test_an_expiry_that_cannot_be_is_explained_and_what_was_typed_stays(shop, subtests):
    for typed, said in [
        ("2027-01-14", "This time is in the past."),
        ("2027-01-15T08:00", "This time is in the past."),
        ("0001-01-01", "This time is in the past."),
        ("tomorrow", "Please enter a date"),
        ("2027-02-30", "Please enter a date"),
        ("9999-12-31", "Please enter a date"),
        ("2027-01-20T25:00", "Please enter a date"),
    ]:
        with subtests.test(typed=typed, said=said):
            localhost, other = (
                shop.office.form(shop.page, "/secrets").fields["domain"][0],
                shop.add_domain("other.example"),
            )
            answer = shop.office.post(shop.page, label="Production", expires_at=typed, domain=other)
            assert answer.status_code == 422
            assert said in faults(answer)
            assert 'name="label" type="text" value="Production"' in answer.text
            form = answer.text.rpartition("<form")[2]
            assert re.search(rf'value="{other}" checked', form)
            assert not re.search(rf'value="{localhost}" checked', form)
            assert len(shop.cards()) == 1


def test_an_expired_secret_is_not_regenerated_into_another_dead_one(shop):
    shop.add(expires_at=SOON)
    question = shop.questions()[1]
    form = shop.office.form(question, question)
    shop.xwms.clock.now = END_OF_SOON
    answer = shop.office.http.post(form.action, data=form.fields)
    assert answer.status_code == 422
    assert "“Production” has expired" in faults(answer)
    assert question not in shop.questions()


def test_a_label_that_cannot_be_is_explained(shop, subtests):
    for label in ("", "   ", "default", "x" * 41, "bell\a"):
        with subtests.test(label=label):
            answer = shop.office.post(shop.page, label=label)
            assert answer.status_code == 422
            assert 'id="label-fault"' in answer.text
            assert len(shop.cards()) == 1


def test_a_secret_is_for_the_domains_that_were_ticked(shop):
    other = shop.add_domain("other.example")
    secret = shop.add(domain=[other])
    assert (shop.call(secret), shop.call(secret, "other.example")) == (NOT_LINKED, GRANTED)
    assert shop.call(shop.secret, "other.example") == NOT_LINKED


def test_the_domains_of_a_secret_can_be_changed(shop):
    other = shop.add_domain("other.example")
    shop.submit("domains", domain=[other])
    assert (shop.call(shop.secret), shop.call(shop.secret, "other.example")) == (NOT_LINKED, GRANTED)

    answer = shop.submit("domains", domain=[])
    assert "no domain now" in notice(answer)
    assert "It has no domain, and every call with it is refused." in words(answer)
    assert shop.call(shop.secret, "other.example") == NOT_LINKED


def test_a_domain_that_is_newer_than_the_form_stays_linked(shop):
    form = shop.office.form(shop.page, "/domains")
    other = shop.add_domain("other.example")
    shop.submit("domains", domain=[*form.fields["domain"], other])
    shop.office.http.post(form.action, data=form.fields | {"domain": []})
    assert (shop.call(shop.secret), shop.call(shop.secret, "other.example")) == (NOT_LINKED, GRANTED)


def test_a_removed_secret_is_refused(shop):
    fresh = shop.add()
    answer = shop.submit("remove", nth=0)
    assert "“Default” was removed" in notice(answer)
    assert (shop.call(shop.secret), shop.call(fresh)) == (UNKNOWN, GRANTED)


def test_the_last_secret_cannot_be_removed(shop):
    number = re.search(r"secrets/(\d+)/", shop.questions()[0])
    assert number
    assert not [form for form in shop.office.forms(shop.page) if form.action.endswith("/remove")]
    answer = shop.office.post(f"{shop.page}/{number[1]}/remove")
    assert answer.status_code == 422
    assert "needs at least one secret" in faults(answer)
    assert shop.call(shop.secret) == GRANTED


def test_there_are_at_most_twenty(shop):
    for number in range(19):
        shop.add(f"Secret {number}")
    answer = shop.office.post(shop.page, label="One more")
    assert answer.status_code == 422
    assert "at most 20 secrets" in faults(answer)


def _every_page(shop: Shop) -> list[str]:
    client = f"/clients/{shop.number}"
    paths = ["", "/clients", "/plan", "/members", "/faults", client, f"{client}/delete"]
    paths += [f"{client}/{tab}" for tab in ("secrets", "redirect-uris", "domains", "scopes", "users", "log")]
    links = set(re.findall(r'href="/dashboard([^"]*)"', "".join(shop.office.get(path).text for path in paths)))
    answers = [shop.office.get(path) for path in sorted({*paths, *links})]
    assert {answer.status_code for answer in answers} == {200}
    return [answer.text for answer in answers] + [shop.xwms.http.get("/").text]


def test_a_secret_is_in_the_answer_to_its_form_and_nowhere_else(make_xwms, tmp_path):
    shop = begin(make_xwms(database=tmp_path / "xwms.db"))
    asked = shop.office.form(shop.page, "/secrets")
    answers = [
        shop.office.http.post(asked.action, data=asked.fields | {"label": "Production"}),
        shop.regenerate(nth=1),
    ]
    secrets = [shop.secret, *(value_of(answer, "client-secret") for answer in answers)]
    for answer, secret in zip(answers, secrets[1:], strict=True):
        assert answer.text.count(secret) == 1
        assert answer.headers["Cache-Control"] == "no-store"
        assert secret not in str(answer.headers)
    for secret in secrets:
        shop.call(secret)
    shop.submit("active")
    shop.call(shop.secret)
    shop.submit("remove", nth=0)

    told = "".join(_every_page(shop))
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert (tmp_path / "xwms.db-wal").exists()
    assert shop.client_id.encode() in stored
    for secret in secrets:
        assert secret not in told
        assert secret.encode() not in stored


def test_a_secret_is_in_no_log(shop, caplog):
    with caplog.at_level("DEBUG"):
        secrets = [shop.add(), value_of(shop.regenerate(), "client-secret")]
        for secret in secrets:
            assert shop.call(secret) == GRANTED
    assert caplog.text
    assert not [secret for secret in secrets if secret in caplog.text]


POSTS = {"": {"label": "Mine"}, "regenerate": {"revision": 1}, "active": {"active": "no"}, "domains": {}, "remove": {}}


def _send_everything(sender: Office, shop: Shop) -> set[int]:
    numbers = re.findall(r"secrets/(\d+)/regenerate", shop.office.get(shop.page).text)
    assert sender.get(f"{shop.page}/{numbers[0]}/regenerate").status_code in {403, 404}
    offered = shop.office.form(shop.page, "/domains").fields["offered"]
    sent = [
        sender.post(f"{shop.page}/{numbers[0]}/{verb}" if verb else shop.page, **fields, offered=offered)
        for verb, fields in POSTS.items()
    ]
    assert not [answer for answer in sent if 'id="client-secret"' in answer.text]
    return {answer.status_code for answer in sent}


def test_another_account_finds_none_of_it(shop):
    shop.add()
    stranger = Office(shop.xwms)
    stranger.register(account="Elsewhere", name="Mallory", email="mallory@example.org")
    assert stranger.get(shop.page).status_code == 404
    assert _send_everything(stranger, shop) == {404}
    assert shop.call(shop.secret) == GRANTED
    assert shop.cards() == ["Default active", "Production active"]


def test_a_secret_of_another_client_is_not_found_below_this_one(shop):
    other = Shop(shop.xwms, shop.office, *shop.office.create_client(name="Other"))
    for verb, fields in POSTS.items():
        if verb:
            path = other.questions()[0].replace(other.page, shop.page).replace("regenerate", verb)
            assert shop.office.post(path, **fields).status_code == 404, verb
    assert (shop.call(shop.secret), other.call(other.secret)) == (GRANTED, GRANTED)


@pytest.mark.parametrize("domain", ["theirs", "999999", "x", "", "1" * 5000])
def test_a_domain_of_another_client_cannot_be_linked(shop, domain):
    number, _, _ = shop.office.create_client(name="Other", domain="other.example")
    theirs = shop.office.form(f"/clients/{number}/secrets", "/domains").fields["domain"][0]
    sent = theirs if domain == "theirs" else domain
    assert shop.submit("domains", domain=[sent]).status_code == 404
    assert shop.office.post(shop.page, label="Production", domain=sent).status_code == 404
    assert len(shop.cards()) == 1
    assert shop.call(shop.secret) == GRANTED
    assert shop.call(shop.secret, "other.example") == (403, "The domain is not known for this client.")


def test_ids_that_nothing_has_are_not_found(shop, subtests):
    for number in ("0", "999999", "9" * 40):
        with subtests.test(number=number):
            assert shop.office.get(f"/clients/{number}/secrets").status_code == 404
            assert shop.office.post(f"/clients/{number}/secrets", label="Mine").status_code == 404
            assert shop.office.post(f"{shop.page}/{number}/active", active="no").status_code == 404


def test_who_may_not_manage_secrets_sees_them_and_changes_nothing(shop):
    shop.add()
    shop.office.add_member("Vera", "Viewer")
    viewer = Office(shop.xwms)
    viewer.enter("Vera")
    seen = viewer.page_text(shop.page)
    assert "Production active" in seen
    assert "For localhost" in seen
    assert viewer.forms(shop.page) == []
    assert _send_everything(viewer, shop) == {403}
    assert shop.call(shop.secret) == GRANTED
    assert shop.cards() == ["Default active", "Production active"]


def test_who_is_not_signed_in_is_sent_to_the_entrance(shop):
    nobody = Office(shop.xwms)
    assert nobody.raw(shop.page, form={"label": "Mine"}).location == "/dashboard"
    assert nobody.http.get(f"/dashboard{shop.page}").location == "/dashboard"
    assert len(shop.cards()) == 1


@pytest.mark.parametrize("verb", list(POSTS))
def test_a_form_without_its_token_does_nothing(shop, verb):
    path = shop.action(verb) if verb in {"active", "domains"} else shop.page
    path = shop.questions()[0] if verb == "regenerate" else path
    assert shop.office.raw(path, form=POSTS[verb], token="").status_code == 403
    assert (shop.call(shop.secret), len(shop.cards())) == (GRANTED, 1)
