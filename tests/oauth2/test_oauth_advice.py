"""What a developer is told in debug mode when the authorization server refuses, and nobody else ever is."""

import pytest

from tests.oauth2.fake_as import DISCOVERY, RFC8414, TOKEN, document
from tests.oauth2.steps import log_in
from tests.tools.fake_xwms import CANARY, CLIENT_ID
from tests.tools.site import FROM_HERE, LOGIN

CASES = {
    "invalid_client": ("XWMS_CLIENT_AUTH", "XWMS_CLIENT_SECRET", CLIENT_ID),
    "unauthorized_client": ("authorization_code", CLIENT_ID),
    "invalid_scope": ("XWMS_SCOPES", "openid profile email"),
    "invalid_grant": ("https://app.example/xwms/validateToken",),
    "redirect_uri_mismatch": ("https://app.example/xwms/validateToken",),
    "temporarily_unavailable": ("XWMS_ISSUER", "XWMS_TIMEOUT"),
    "something_else": ("XWMS_ISSUER",),
}


@pytest.mark.parametrize(("error", "told"), CASES.items())
def test_a_developer_is_told_what_to_change_and_a_visitor_is_not(make_site, server, error, told):
    server.answer(TOKEN, document({"error": error, "error_description": "words of the server"}, 400))
    shown = log_in(make_site(debug=True).browser(), server).text
    for text in told:
        assert text in shown
    assert "words of the server" not in shown
    assert CANARY not in shown
    hidden = log_in(make_site().browser(), server).text
    for text in (*told, server.issuer, "Cause:"):
        assert text not in hidden


def test_an_issuer_without_a_document_is_told_with_what_to_name_instead(make_site, server):
    for path in (DISCOVERY, RFC8414):
        server.answer(path, document({}, 404))
    shown = make_site(debug=True).browser().get(LOGIN, FROM_HERE).text
    assert "XWMS_AUTHORIZATION_ENDPOINT" in shown
    assert server.issuer in shown
