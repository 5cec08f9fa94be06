"""Flask outside of a served request: mail jobs, commands, tests' requests, and handlers of Flask-SocketIO."""

import flask
import pytest

from tests.tools.site import FROM_HERE, LOGIN
from xwms_auth import XWMSConfig
from xwms_auth.flask import XWMSAuth, current_user, login_required, token_required

ORIGIN = "https://app.example"
PAGE = (
    "{{ current_user.is_authenticated }} {{ current_user.display_name }}|{{ xwms_login_url() }}|"
    "{{ xwms_login_url(next='/mail') }}|{{ xwms_login_button(locale='nl') }}|{{ xwms_logout_form() }}"
)


@pytest.fixture
def fx(make_fx):
    return make_fx()


@pytest.fixture
def config(fx):
    return XWMSConfig(**fx.options(redirect_uris=f"{ORIGIN}/xwms/validateToken"))


@pytest.fixture
def app(config):
    app = flask.Flask(__name__)
    auth = XWMSAuth(app, config)

    @app.get("/sessions")
    def sessions():
        return f"{[session.current for session in auth.sessions.list(current_user.sub)]}"

    return app


def log_in(app, fx, sub="17"):
    """The Cookie header of somebody who has logged in."""
    client = app.test_client()
    location = client.get(LOGIN, base_url=ORIGIN, headers=FROM_HERE).headers["location"]
    token = fx.approve(location.rpartition("/")[2], sub=sub)
    back = client.get(f"/xwms/validateToken?token={token}", base_url=ORIGIN)
    (cookie,) = [line.partition(";")[0] for line in back.headers.get_all("Set-Cookie") if "session" in line]
    return cookie


def test_a_mail_job_renders_templates_as_nobody(app):
    with app.app_context():
        page = flask.render_template_string(PAGE)
        assert not current_user.is_authenticated
    said, here, there, button, form = page.split("|")
    assert (said, here, there) == ("False ", "/xwms/auth", "/xwms/auth?next=/mail")
    assert 'action="/xwms/auth"' in button
    assert 'action="/xwms/logout"' in form


def test_a_command_renders_templates_as_nobody(app):
    app.cli.command("mail")(lambda: print(flask.render_template_string(PAGE)))  # noqa: T201
    done = app.test_cli_runner().invoke(args=["mail"])
    assert done.output.startswith("False |/xwms/auth|"), done.output


def test_a_tests_request_renders_templates_as_nobody_at_its_page(app):
    with app.test_request_context("/page?a=b"):
        assert flask.render_template_string(PAGE).startswith("False |/xwms/auth?next=/page%3Fa%3Db|")


def test_a_tests_request_with_a_session_is_its_owners(app, fx):
    cookie = log_in(app, fx)
    with app.test_request_context("/", base_url=ORIGIN, headers={"Cookie": cookie}):
        assert current_user.sub == "17"
    with app.test_request_context("/", base_url=ORIGIN, headers={"Cookie": cookie + "x"}):
        assert current_user.sub is None


def test_guards_refuse_there_too(app):
    @login_required
    def view():
        return "in"

    with app.test_request_context("/page", headers={"Accept": "application/json"}):
        assert flask.json.loads(view().data)["code"] == "login_required"


def test_a_token_guard_does_not_say_that_there_is_no_extension(app):
    @token_required
    def view():
        return "in"

    with app.test_request_context("/page"):
        assert "XWMSAuth" not in view().get_data(as_text=True)


def test_an_application_without_the_extension_says_so_everywhere(app):
    bare = flask.Flask(__name__)
    with bare.test_request_context("/"), pytest.raises(RuntimeError, match="no XWMSAuth"):
        current_user.name  # noqa: B018
    bare.context_processor(app.template_context_processors[None][-1])
    with bare.app_context(), pytest.raises(RuntimeError, match="no XWMSAuth"):
        flask.render_template_string("{{ xwms_login_url() }}")


@pytest.mark.more_packages
@pytest.mark.parametrize("first", ["XWMSAuth", "SocketIO"])
def test_every_handler_of_flask_socketio_knows_who_it_is(config, fx, first):
    from flask_socketio import SocketIO

    app = flask.Flask(__name__)
    if first == "XWMSAuth":
        XWMSAuth(app, config)
        sockets = SocketIO(app, async_mode="threading")
    else:
        sockets = SocketIO(app, async_mode="threading")
        XWMSAuth(app, config)
    seen = []

    def look(name):
        page = flask.render_template_string("{{ current_user.sub }} {{ xwms_login_url(next='/x') }}")
        seen.append((name, page, flask.render_template_string(PAGE).count("|")))

    @sockets.on("connect")
    def connect(auth=None):
        look("connect")

    @sockets.on("message")
    def message(data):
        look("message")
        raise ValueError(data)

    @sockets.on_error_default
    def failed(error):
        look("error")

    @sockets.on("disconnect")
    def disconnect(reason=None):
        look("disconnect")

    def connected_as(**headers):
        del seen[:]
        client = sockets.test_client(app, headers=headers)
        client.send("hello")
        client.disconnect()
        assert [name for name, _, _ in seen] == ["connect", "message", "error", "disconnect"]
        assert {bars for _, _, bars in seen} == {4}
        (page,) = {page for _, page, _ in seen}
        return page

    assert connected_as() == "None /xwms/auth?next=/x"
    cookie = log_in(app, fx)
    assert connected_as(Cookie=cookie, Host="app.example") == "17 /xwms/auth?next=/x"


def test_a_link_button_may_have_words_of_its_own(app):
    with app.app_context():
        page = flask.render_template_string("{{ xwms_link_button(label='Connect <XWMS>') }}")
    assert "Connect &lt;XWMS&gt;</button>" in page
    assert 'name="link"' in page


def test_an_application_for_several_clients_is_none_of_them_in_a_request_of_another_one(app, fx):
    several = flask.Flask("several")
    given = [{"client_id": one, "redirect_uris": f"https://{one}.example/cb"} for one in ("a", "b")]
    auth = XWMSAuth(several, [XWMSConfig(**fx.options(**one)) for one in given])

    @app.get("/other")
    def other():
        with several.app_context(), pytest.raises(RuntimeError, match=r"ambiguous.*a\.example, .*b\.example"):
            auth.sessions.list("17")
        return "asked"

    assert app.test_client().get("/other", base_url=ORIGIN).text == "asked"
