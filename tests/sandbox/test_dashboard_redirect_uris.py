"""The dashboard's page of redirect URIs: what a person does there, and where a login may end afterwards."""

import re

import pytest

from tests.sandbox.local_xwms import REDIRECT
from tests.sandbox.office import Office, faults, faults_at_fields, notice, words
from tests.sandbox.staff import ClientPage

STAGING = "https://staging.shop.example/xwms/validateToken?from=a&to=b"
NOT_REGISTERED = (422, "The redirect URL is not registered for this client.")
NOT_ACTIVE = (422, "The redirect URL is not active.")


class Shop(ClientPage):
    """A client's redirect URIs, with its owner at the dashboard."""

    section = "redirect-uris"

    def begin_login(self, uri: str) -> tuple[int, str]:
        """What an app is told that asks for a login which ends there."""
        answer = self.xwms.call(
            "sign-token", {"redirect_url": uri}, X_Client_Id=self.client_id, X_Client_Secret=self.secret
        )
        data = answer.json["data"]
        return answer.status_code, data["url"] if data else answer.json["message"]

    def may_end_at(self, uri: str) -> bool:
        return self.begin_login(uri)[0] == 200

    def add(self, uri: str):
        return self.office.submit(self.page, "/redirect-uris", redirect_uri=uri)


@pytest.fixture
def shop(xwms) -> Shop:
    office = Office(xwms)
    office.register()
    office.activate_plan()
    return Shop(xwms, office, *office.create_client())


def test_there_may_be_several_and_each_works(shop):
    assert not shop.may_end_at(STAGING)
    answer = shop.add(STAGING)
    assert "was added" in notice(answer)
    assert f"{REDIRECT} " in words(answer)
    assert f"{STAGING} " in words(answer)
    assert shop.may_end_at(STAGING)
    assert shop.may_end_at(REDIRECT)


def test_the_page_says_how_they_are_compared_and_to_register_several(shop):
    text = shop.office.page_text(shop.page)
    assert "byte for byte" in text
    assert "local, staging, production" in text


def test_what_was_added_is_compared_byte_for_byte(shop, subtests):
    shop.add(STAGING)
    assert shop.begin_login(STAGING)[0] == 200
    for almost in [
        STAGING + "/",
        STAGING.replace("https", "http"),
        STAGING.upper(),
        STAGING.replace("staging.shop.example", "staging.shop.example:443"),
        STAGING.replace("a&to=b", "b&to=a"),
        STAGING.replace("validateToken", "validate%54oken"),
    ]:
        with subtests.test(almost=almost):
            assert shop.begin_login(almost) == NOT_REGISTERED


def test_an_invalid_one_is_explained_and_what_was_typed_stays(shop, subtests):
    for typed, said in [
        ("", "Please enter the URL"),
        (" https://shop.example/callback", "There is a space before or after it"),
        ("https://shop.example/callback\t", "There is a space before or after it"),
        ("https://*.shop.example/callback", "wildcards"),
        ("https://shop.example", "The path is missing"),
        ("https://shop.example/callback#top", "fragment"),
        ("https://ada@shop.example/callback", "not an absolute http or https URL"),
        ("shop.example/callback", "not an absolute http or https URL"),
        ("//shop.example/callback", "not an absolute http or https URL"),
        ("javascript:alert(1)", "not an absolute http or https URL"),
        ("https://shop.example/\"><b>'x", "not a URL in plain ASCII"),
        ("https://shöp.example/callback", "not a URL in plain ASCII"),
        ("https://shop.example/call\nback", "not a URL in plain ASCII"),
        ("https://shop.example:0/callback", "not an absolute http or https URL"),
        ("https://shop.example:99999/callback", "not a URL"),
        ("https://shop.example/" + "x" * 1980, "2000 characters"),
    ]:
        with subtests.test(typed=typed, said=said):
            answer = shop.add(typed)
            assert answer.status_code == 422
            assert said in faults(answer)
            assert list(faults_at_fields(answer)) == ["redirect_uri"]
            value = re.search(r'<input id="redirect_uri"[^>]* value="([^"]*)"', answer.text)
            assert value
            assert (
                value[1].replace("&#34;", '"').replace("&#39;", "'").replace("&lt;", "<").replace("&gt;", ">") == typed
            )
            assert "<b>" not in answer.text
            assert len([form for form in shop.office.forms(shop.page) if form.action.endswith("/remove")]) == 1


def test_one_that_is_registered_already_is_not_added_again(shop):
    answer = shop.add(REDIRECT)
    assert (answer.status_code, faults(answer)) == (422, "This redirect URI is already registered.")
    shop.submit("active")
    answer = shop.add(REDIRECT)
    assert answer.status_code == 422
    assert "switch it on instead" in faults(answer)
    assert shop.begin_login(REDIRECT) == NOT_ACTIVE


def test_two_clients_may_have_the_same(shop):
    number, _, _ = shop.office.create_client(name="Other", redirect_uri=STAGING)
    assert "was added" in notice(shop.add(STAGING))
    assert REDIRECT not in shop.office.page_text(f"/clients/{number}/redirect-uris")


def test_one_that_is_switched_off_ends_no_login_until_it_is_switched_on(shop):
    answer = shop.submit("active")
    assert "switched off" in notice(answer)
    assert f"{REDIRECT} Copy off" in words(answer)
    assert shop.begin_login(REDIRECT) == NOT_ACTIVE
    answer = shop.submit("active")
    assert f"{REDIRECT} Copy active" in words(answer)
    assert shop.may_end_at(REDIRECT)


def test_a_removed_one_ends_no_login_and_the_last_may_go_too(shop):
    shop.add(STAGING)
    assert "was removed" in notice(shop.submit("remove"))
    assert (shop.begin_login(REDIRECT), shop.may_end_at(STAGING)) == (NOT_REGISTERED, True)
    assert "nobody can log in" in words(shop.submit("remove"))
    assert shop.begin_login(STAGING) == NOT_REGISTERED


@pytest.mark.parametrize("verb", ["active", "remove"])
def test_a_login_that_is_under_way_does_not_end_where_it_no_longer_may(shop, verb):
    status, url = shop.begin_login(REDIRECT)
    assert status == 200
    shop.submit(verb)
    page = url.removeprefix("http://127.0.0.1:8800")
    assert shop.xwms.http.get(page).status_code == 403
    assert shop.xwms.http.post(page, data={"person": "1001"}).status_code == 403


def test_the_page_warns_of_what_a_live_domain_refuses(shop):
    assert "is not https" not in shop.office.page_text(shop.page)
    domains = f"/clients/{shop.number}/domains"
    one = re.search(rf'href="/dashboard({domains}/\d+)"', shop.office.get(domains).text)
    assert one
    shop.office.submit(one[1], one[1], live="yes")
    assert shop.office.page_text(shop.page).count("It is not https: logins from localhost cannot use it") == 1
    assert shop.begin_login(REDIRECT) == (422, "A live domain needs an https redirect URL.")


POSTS = {"": {"redirect_uri": STAGING}, "active": {"active": "no"}, "remove": {}}


def _send_everything(sender: Office, shop: Shop) -> set[int]:
    path = shop.action("active")
    return {
        sender.post(path.replace("active", verb) if verb else shop.page, **fields).status_code
        for verb, fields in POSTS.items()
    }


def test_another_account_finds_none_of_it(shop):
    stranger = Office(shop.xwms)
    stranger.register(account="Elsewhere", name="Mallory", email="mallory@example.org")
    assert stranger.get(shop.page).status_code == 404
    assert _send_everything(stranger, shop) == {404}
    assert (shop.may_end_at(REDIRECT), shop.may_end_at(STAGING)) == (True, False)


def test_one_of_another_client_is_not_found_below_this_one(shop):
    number, _, _ = shop.office.create_client(name="Other")
    for verb in ("active", "remove"):
        path = shop.action(verb).replace(shop.page, f"/clients/{number}/redirect-uris")
        assert shop.office.post(path, active="no").status_code == 404
    assert shop.may_end_at(REDIRECT)


def test_ids_that_nothing_has_are_not_found(shop, subtests):
    for number in ("0", "999999", "9" * 40):
        with subtests.test(number=number):
            assert shop.office.get(f"/clients/{number}/redirect-uris").status_code == 404
            assert shop.office.post(f"/clients/{number}/redirect-uris", redirect_uri=STAGING).status_code == 404
            assert shop.office.post(f"{shop.page}/{number}/remove").status_code == 404


def test_who_may_not_change_clients_sees_them_and_changes_nothing(shop):
    shop.office.add_member("Vera", "Viewer")
    viewer = Office(shop.xwms)
    viewer.enter("Vera")
    assert REDIRECT in viewer.page_text(shop.page)
    assert viewer.forms(shop.page) == []
    assert _send_everything(viewer, shop) == {403}
    assert (shop.may_end_at(REDIRECT), shop.may_end_at(STAGING)) == (True, False)


def test_who_is_not_signed_in_is_sent_to_the_entrance(shop):
    nobody = Office(shop.xwms)
    assert nobody.raw(shop.page, form=POSTS[""]).location == "/dashboard"
    assert not shop.may_end_at(STAGING)


@pytest.mark.parametrize("verb", list(POSTS))
def test_a_form_without_its_token_does_nothing(shop, verb):
    path = shop.action(verb) if verb else shop.page
    assert shop.office.raw(path, form=POSTS[verb], token="").status_code == 403
    assert (shop.may_end_at(REDIRECT), shop.may_end_at(STAGING)) == (True, False)
