"""What else a callback may bring: iss, errors, tokens, other methods (OC-04, OC-06, OC-08, OC-17, LC-16)."""

from tests.oauth2.fake_as import TOKEN, USERINFO
from tests.oauth2.steps import begin, code_of, come_back, nothing_happened
from tests.tools.site import CALLBACK, FROM_ELSEWHERE, PROGRAM

# --- iss ---


def test_oc_04_a_wrong_or_missing_iss_is_refused(site, server):
    """OC-04: the server promises one in its metadata (RFC 9207); the login is over then, and no code is sent."""
    for iss in ("https://evil.example", "", "{issuer}/", "{issuer}#", None):
        browser = site.browser()
        query = server.consent(begin(browser))
        del query["iss"]
        if iss is not None:
            query["iss"] = iss.format(issuer=server.issuer)
        answer = come_back(browser, query)
        assert code_of(answer) == (401, "token_rejected"), iss
        assert nothing_happened(browser, answer), iss
        assert "Max-Age=0" in answer.headers["set-cookie"], iss
        assert server.calls(TOKEN) == 0, iss


def test_oc_04_a_parameter_that_comes_twice_is_refused(site, server):
    """OC-04: also with the same value twice."""
    for name in ("iss", "state", "code", "error"):
        browser = site.browser()
        query = {"error": "access_denied", **server.consent(begin(browser))}
        pairs = [*query.items(), (name, query[name])]
        answer = come_back(browser, [pair for pair in pairs if name == "error" or pair[0] != "error"])
        assert code_of(answer) == (400, "token_malformed"), name
        assert server.calls(TOKEN) == 0, name


def test_oc_04_an_iss_that_was_not_promised_is_checked_where_it_comes(make_site, server):
    """OC-04"""
    del server.metadata["authorization_response_iss_parameter_supported"]
    site = make_site()
    for iss, expected in ((None, 303), (server.issuer, 303), ("https://evil.example", 401)):
        browser = site.browser()
        query = server.consent(begin(browser))
        del query["iss"]
        assert come_back(browser, query if iss is None else {**query, "iss": iss}).status_code == expected


# --- error, tokens in the address, other methods ---

FOREIGN = {"error_description": "<svg onload=alert(1)>", "error_uri": "https://evil.example/"}


def test_lc_16_an_error_of_no_login_of_this_browser_changes_nothing(browser, server):
    """LC-16, OC-06: without state, or with another's; the login that is under way goes on."""
    query = server.consent(begin(browser))
    for state in ({}, {"state": "x" * 43}, {"state": ""}):
        answer = come_back(browser, {"error": "access_denied", **state, **FOREIGN})
        assert code_of(answer) == (400, "token_missing")
        assert "svg" not in answer.text
        assert "evil" not in answer.text
        assert answer.headers.get_list("set-cookie") == []
    assert come_back(browser, query).status_code == 303


ERRORS = {
    "access_denied": (400, "token_missing"),
    "login_required": (400, "token_missing"),
    "<svg>": (400, "token_missing"),
    "unauthorized_client": (503, "client_disabled"),
    "invalid_scope": (500, "request_rejected"),
    "server_error": (502, "xwms_bad_answer"),
    "temporarily_unavailable": (503, "xwms_unreachable"),
}


def test_oc_06_an_error_of_this_login_ends_it_with_a_page_of_our_own(site, server, caught):
    """OC-06: its description is nowhere, its code only in the log and only if the protocol knows it."""
    for error, expected in ERRORS.items():
        browser = site.browser()
        query = server.consent(begin(browser))
        said = {"error": error, "state": query["state"], "iss": server.issuer}
        answer = come_back(browser, {**said, **FOREIGN})
        assert code_of(answer) == expected, error
        assert "svg" not in answer.text + caught(), error
        assert nothing_happened(browser, answer), error
        assert code_of(come_back(browser, query)) == (400, "login_not_started"), error


def test_oc_06_an_error_with_another_servers_name_is_no_error_of_this_login(browser, server):
    """OC-06, OC-04"""
    query = server.consent(begin(browser))
    answer = come_back(browser, {"error": "access_denied", "state": query["state"], "iss": "https://evil.example"})
    assert code_of(answer) == (401, "token_rejected")


def test_oc_06_code_and_error_together_are_refused(browser, server):
    """OC-06"""
    query = server.consent(begin(browser))
    assert code_of(come_back(browser, {**query, "error": "access_denied"})) == (400, "token_malformed")
    assert server.calls(TOKEN) == 0


def test_oc_08_a_token_in_the_callbacks_address_is_not_looked_at(site, server):
    """OC-08"""
    for name in ("access_token", "id_token", "token"):
        browser = site.browser()
        query = server.consent(begin(browser), sub="17")
        stolen = {name: "somebodys-token-0123456789", "token_type": "Bearer", "expires_in": "3600"}
        alone = come_back(browser, {**stolen, "state": query["state"]})
        assert code_of(alone) == (400, "token_missing"), name
        assert browser.who() is None, name
        assert come_back(browser, {**query, **stolen}).status_code == 303, name
        assert browser.who() == "17", name
        assert all("somebodys" not in str(request.headers) for request in server.to(USERINFO)), name


def test_a_code_of_an_impossible_form_is_refused_without_asking(site, server):
    for code in ("", "x" * 4097, "a\nb", "caf\u00e9"):
        browser = site.browser()
        query = server.consent(begin(browser))
        assert code_of(come_back(browser, {**query, "code": code})) == (400, "token_malformed"), code
        assert server.calls(TOKEN) == 0, code


def test_oc_17_a_callback_that_is_posted_is_not_taken(browser, server):
    """OC-17: response_mode=form_post; a Lax cookie would not come with it anyway."""
    query = server.consent(begin(browser))
    answer = browser.post(CALLBACK, FROM_ELSEWHERE, data=query)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert server.calls(TOKEN) == 0
    assert come_back(browser, query).status_code == 303


def test_a_callback_in_a_frame_or_by_a_script_is_refused_and_the_login_goes_on(browser, server):
    query = server.consent(begin(browser))
    frame = {**FROM_ELSEWHERE, "Sec-Fetch-Dest": "iframe"}
    assert browser.get(CALLBACK, frame, params=query).status_code == 403
    assert server.calls(TOKEN) == 0
    assert come_back(browser, query).status_code == 303


def test_a_program_is_told_in_a_document(browser, server):
    answer = browser.get(CALLBACK, PROGRAM, params={"code": "x", "state": "y"})
    assert answer.json()["code"] == "login_not_started"
