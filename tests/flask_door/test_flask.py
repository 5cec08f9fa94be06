"""What is Flask's own: factories, views of every kind, templates, where the settings come from."""

import flask
import httpx2
import pytest
from flask.views import MethodView

from tests.tools.site import FROM_HERE, LOGIN, PROGRAM, log_in
from xwms_auth import ConfigError, User, XWMSConfig
from xwms_auth.flask import XWMSAuth, current_user, login_required

ORIGIN = "https://app.example"
KEY = "a Flask secret key of more than 32 bytes"


def settings(fx, **changes):
    return {
        "XWMS_CLIENT_ID": "fx-client",
        "XWMS_CLIENT_SECRET": "fx-secret",
        "XWMS_REDIRECT_URI": f"{ORIGIN}/xwms/validateToken",
        "XWMS_API_URI": fx.api_url,
        **changes,
    }


def visit(app):
    return httpx2.Client(transport=httpx2.WSGITransport(app), base_url=ORIGIN)


def app_with_routes():
    app = flask.Flask(__name__)

    @app.get("/async")
    @login_required
    async def later():
        return f"async {current_user.sub}"

    @app.get("/parens")
    @login_required()
    def parens():
        return f"parens {current_user.sub}"

    class Page(MethodView):
        decorators = [login_required]

        def get(self, number):
            return f"view {number} {current_user.sub}"

    app.add_url_rule("/page/<int:number>", view_func=Page.as_view("page"))

    @app.get("/template")
    def template():
        return flask.render_template_string(
            "{{ current_user.is_authenticated }}|{{ xwms_login_url() }}|{{ xwms_login_url(next='/a?b=c') }}|"
            "{{ xwms_login_button(locale='nl-NL') }}|{{ xwms_logout_form(label='<Bye>') }}"
        )

    return app


def test_a_factory_may_make_the_extension_first_and_the_settings_come_from_app_config(fx):
    auth = XWMSAuth()
    app = app_with_routes()
    app.config.from_mapping(settings(fx, XWMS_SESSION_SECRET=[KEY], XWMS_LOGIN_PATH="/in"))
    auth.init_app(app)
    assert visit(app).get("/in", headers=FROM_HERE).status_code == 302


def test_async_views_method_views_and_both_spellings_of_the_decorator_are_guarded(fx):
    app = app_with_routes()
    XWMSAuth(app, XWMSConfig(**fx.options(redirect_uris=f"{ORIGIN}/xwms/validateToken")))
    client = visit(app)
    for path in ("/async", "/parens", "/page/3"):
        assert client.get(path, headers=PROGRAM).status_code == 401
    log_in(client, fx)
    assert client.get("/async").text == "async 17"
    assert client.get("/parens").text == "parens 17"
    assert client.get("/page/3").text == "view 3 17"


def test_templates_get_the_person_the_login_address_the_button_and_the_logout_form(fx):
    app = app_with_routes()
    XWMSAuth(app, XWMSConfig(**fx.options(redirect_uris=f"{ORIGIN}/xwms/validateToken")))
    who, url, named, button, form = visit(app).get("/template?x=1").text.split("|")
    assert who == "False"
    assert url == "/xwms/auth?next=/template%3Fx%3D1"
    assert named == "/xwms/auth?next=/a%3Fb%3Dc"
    assert button.startswith('<form class="xwms-login" method="post" action="/xwms/auth?next=/template%3Fx%3D1"')
    assert "Inloggen met XWMS" in button
    assert 'method="post" action="/xwms/logout"' in form
    assert "&lt;Bye&gt;" in form


def test_without_a_session_secret_flasks_own_key_is_used_and_its_fallbacks_verify(fx):
    def app(key, fallbacks=()):
        made = app_with_routes()
        made.secret_key = key
        made.config.from_mapping(settings(fx, SECRET_KEY_FALLBACKS=list(fallbacks)))
        XWMSAuth(made)
        return made

    client = visit(app(KEY))
    log_in(client, fx)
    for after, status in ((app(KEY), 200), (app(KEY[::-1], [KEY]), 200), (app(KEY[::-1]), 401)):
        other = visit(after)
        other.cookies = client.cookies
        assert other.get("/parens", headers=PROGRAM).status_code == status


def test_every_fault_is_told_at_once_flasks_short_key_too(monkeypatch):
    for name in ("XWMS_CLIENT_ID", "XWMS_CLIENT_SECRET", "XWMS_REDIRECT_URI", "XWMS_SESSION_SECRET"):
        monkeypatch.delenv(name, raising=False)
    app = flask.Flask(__name__)
    app.secret_key = "dev"
    with pytest.raises(ConfigError) as caught:
        XWMSAuth(app)
    told = "\n".join(caught.value.problems)
    assert all(name in told for name in ("client_id", "client_secret", "redirect_uris", "secret_key"))


def test_an_application_is_set_up_once(fx):
    app = flask.Flask(__name__)
    config = XWMSConfig(**fx.options())
    XWMSAuth(app, config)
    with pytest.raises(ConfigError, match="twice"):
        XWMSAuth(app, config)


def test_current_user_says_when_it_is_used_without_the_extension():
    app = flask.Flask(__name__)
    with app.test_request_context("/"), pytest.raises(RuntimeError, match="no XWMSAuth"):
        current_user.name  # noqa: B018


def test_flasks_own_session_is_left_alone(fx):
    app = app_with_routes()
    app.secret_key = KEY

    @app.get("/count")
    def count():
        flask.session["n"] = flask.session.get("n", 0) + 1
        return f"{flask.session['n']} {current_user.is_authenticated} {isinstance(current_user, User)}"

    XWMSAuth(app, XWMSConfig(**fx.options(redirect_uris=f"{ORIGIN}/xwms/validateToken")))
    client = visit(app)
    assert client.get("/count").text == "1 False False"
    log_in(client, fx)
    assert client.get("/count").text == "2 True True"


def test_flasks_test_client_can_log_in(fx):
    app = app_with_routes()
    XWMSAuth(app, XWMSConfig(**fx.options(redirect_uris="http://localhost/xwms/validateToken")))
    client = app.test_client()
    token = fx.approve(client.get(LOGIN).headers["location"].rpartition("/")[2], sub="17")
    assert client.get(f"/xwms/validateToken?token={token}").status_code == 303
    assert client.get("/parens").text == "parens 17"
