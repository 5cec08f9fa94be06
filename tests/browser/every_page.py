"""The way to every page that the sandbox and the examples show, in each state that it can be in.

Each tour is told what to do at every page (`look`, with a name for it), so that pictures can be taken on it as well.

Knows: what a visitor does to get to a page.
Must not: judge a page.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from tests.browser.visitor import CALLBACK
from xwms_auth import XWMSClient, XWMSConfig
from xwms_auth.sandbox import SandboxServer, SandboxSettings
from xwms_auth.sandbox.db.schema import Account
from xwms_auth.sandbox.domain import clients

if TYPE_CHECKING:
    from playwright.sync_api import Page

Look = Callable[["Page", str], None]

URI: Final = "http://localhost:5000/xwms/validateToken"
ASKED: Final = {
    "response_type": "code",
    "client_id": "sandbox-client",
    "redirect_uri": URI,
    "scope": "openid profile email offline_access userinfo",
    "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    "code_challenge_method": "S256",
}

_SEND: Final = """([action, fields]) => {
    const form = [...document.forms].find(each => new URL(each.action).pathname.endsWith(action))
    for (const [name, value] of Object.entries(fields)) {
        const given = [...form.querySelectorAll(`[name="${name}"]`)]
        for (const each of given)
            if (/checkbox|radio/.test(each.type)) each.checked = each.value === value
            else each.value = value
        if (!given.length || given.every(each => each.tagName === "BUTTON"))
            form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }))
    }
    form.submit()
}"""


def sandbox_settings() -> SandboxSettings:
    """A sandbox with something on every page: the demo account, and a client that asks for scopes."""
    return SandboxSettings(redirect_uris=(URI,), scopes=("userinfo", "useraddresses"), seed=True)


def send(page: "Page", action: str, **fields: str) -> None:
    """Send the first form whose address ends with `action`, with these fields; the browser does not check them."""
    with page.expect_navigation():
        page.evaluate(_SEND, [action, fields])


def tour_of_sign_in(page: "Page", server: SandboxServer, settings: SandboxSettings, look: Look) -> None:
    """The pages of a person who signs in, and what goes wrong there."""
    config = XWMSConfig(
        client_id=settings.client_id,
        client_secret=settings.client_secret,
        domain=settings.domain,
        redirect_uris=URI,
        api_url=server.api_url,
        session_secret="a session secret, long enough for anybody",
    )
    page.goto(f"{server.url}/")
    look(page, "home")
    with XWMSClient(config) as api:
        page.goto(api.sign_token(URI).url)
    sign_in = page.url
    look(page, "sign in")
    page.locator("details summary").click()
    look(page, "sign in, somebody else")
    send(page, "", sub=" ", name="Nobody")
    look(page, "sign in, refused")
    page.goto(sign_in)
    send(page, "", person="1001")
    look(page, "consent")
    form = urlencode([("person", "1003"), ("scope", "userinfo"), ("scope", "useraddresses")])
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    page.request.post(sign_in, data=form, headers=kind, max_redirects=0)
    page.goto(sign_in)
    look(page, "sign in, ended")
    page.goto(f"{server.url}/sign-in/nobody-knows-this")
    look(page, "sign in, unknown")
    for name, path in {
        "not found": "/nowhere",
        "OAuth, not registered": f"/oauth/authorize?{urlencode(ASKED | {'redirect_uri': 'https://elsewhere.example/'})}",
        "OAuth, not an app": "/oauth/authorize",
        "OAuth, signed out": f"/oauth/logout?client_id={settings.client_id}",
        "OAuth, not signed out": "/oauth/logout",
    }.items():
        page.goto(server.url + path)
        look(page, name)
    page.goto(f"{server.url}/oauth/authorize?{urlencode(ASKED)}")
    look(page, "OAuth, sign in")
    send(page, "", person="1001")
    look(page, "OAuth, consent")
    page.goto(server.url.replace("127.0.0.1", "xwms.example"))
    look(page, "not its address")


def tour_of_dashboard(page: "Page", server: SandboxServer, look: Look) -> None:
    """Every page of the dashboard: for an owner with much to see, and after a form that was refused."""
    dashboard = f"{server.url}/dashboard"
    page.goto(dashboard)
    look(page, "entrance")
    page.goto(f"{dashboard}/register")
    look(page, "register")
    enter(page, dashboard, "Olivia Owner")
    page.locator("header summary").click()
    look(page, "the member's menu")
    page.get_by_role("link", name="Web shop", exact=True).click()
    client = page.url
    for path in (
        "",
        "/secrets",
        "/redirect-uris",
        "/domains",
        "/scopes",
        "/users",
        "/log",
        "/log?refused=yes",
        "/delete",
    ):
        page.goto(client + path)
        page.evaluate("document.querySelectorAll('main details').forEach(each => { each.open = true })")
        look(page, f"client {path}")
    page.goto(f"{client}/domains")
    page.get_by_role("link", name="bloom.example", exact=True).click()
    domain = page.url
    look(page, "domain")
    for path in ("/clients", "/clients/new", "/members", "/roles", "/plan", "/people", "/people/1", "/faults"):
        page.goto(dashboard + path)
        look(page, path)
    page.goto(f"{client}/secrets")
    page.get_by_role("link", name="Regenerate").first.click()
    look(page, "regenerate")
    refused: Mapping[str, tuple[str, str, dict[str, str]]] = {
        "rename": (client, "/name", {"name": ""}),
        "logout URI": (client, "/backchannel-logout", {"backchannel_logout_uri": "nowhere"}),
        "secret": (f"{client}/secrets", "/secrets", {"label": ""}),
        "redirect URI": (f"{client}/redirect-uris", "/redirect-uris", {"redirect_uri": "bloom.example/callback"}),
        "domain": (f"{client}/domains", "/domains", {"domain": "https://bloom.example/"}),
        "domain's switches": (
            domain,
            domain.rpartition("/dashboard")[2],
            {"allowed_ips": "one", "fallback_uri": "two"},
        ),
        "delete": (f"{client}/delete", "/delete", {"name": "Another"}),
        "new client": (f"{dashboard}/clients/new", "/clients/new", {"name": "", "domain": "", "redirect_uri": ""}),
        "member": (f"{dashboard}/members", "/members", {"name": "", "email": ""}),
        "role": (f"{dashboard}/roles", "/roles", {"role": ""}),
        "person": (f"{dashboard}/people/1", "/people/1", {"name": "", "email": "nobody", "picture": "nowhere"}),
        "fault": (f"{dashboard}/faults", "/faults", {"times": "x", "seconds": "y"}),
    }
    for name, (url, action, fields) in refused.items():
        page.goto(url)
        send(page, action, **fields)
        look(page, f"{name}, refused")
    page.goto(f"{client}/secrets")
    send(page, "/secrets", label="Another")
    look(page, "secret, once")
    page.goto(f"{dashboard}/faults")
    send(page, "/faults", fault="slow")
    send(page, "/faults", fault="500", times="2")
    look(page, "faults, active")
    page.goto(f"{dashboard}/clients")
    look(page, "clients, with a fault")
    page.goto(f"{dashboard}/faults")
    page.get_by_role("button", name="Clear all").click()
    look(page, "faults, cleared")
    for path in ("/clients/999", "/nowhere"):
        page.goto(dashboard + path)
        look(page, f"not there: {path}")
    page.goto(f"{dashboard}/members")
    page.context.clear_cookies()
    send(page, "/members", name="Somebody")
    look(page, "a form that was open for too long")


def tour_of_roles(page: "Page", server: SandboxServer, look: Look) -> None:
    """The same pages for a member who may change nothing, and those of a new account, where there is nothing yet."""
    dashboard = f"{server.url}/dashboard"
    enter(page, dashboard, "Vera Viewer")
    page.get_by_role("link", name="Web shop", exact=True).click()
    client = page.url
    for path in ("", "/secrets", "/redirect-uris", "/domains", "/scopes", "/users"):
        page.goto(client + path)
        look(page, f"viewer, client {path}")
    page.goto(f"{client}/domains")
    page.get_by_role("link", name="bloom.example", exact=True).click()
    look(page, "viewer, domain")
    for path in ("/clients", "/clients/new", "/members", "/roles", "/plan"):
        page.goto(dashboard + path)
        look(page, f"viewer, {path}")
    page.context.clear_cookies()
    page.goto(f"{dashboard}/register")
    send(page, "/register", email="nobody@nowhere")
    look(page, "register, refused")
    send(page, "/register", account="A new account", name="Nora New", email="nora@new.example")
    look(page, "plan, none yet")
    for path in ("/clients", "/clients/new"):
        page.goto(dashboard + path)
        look(page, f"no plan, {path}")
    page.goto(f"{dashboard}/plan")
    page.get_by_role("button", name="Activate").click()
    page.goto(f"{dashboard}/clients")
    look(page, "no clients")
    page.goto(f"{dashboard}/clients/new")
    send(page, "/clients/new", name="The first", domain="localhost", redirect_uri=URI)
    look(page, "client, created")
    page.get_by_role("link", name="I have copied it").click()
    client = page.url
    page.get_by_role("button", name="Disable client").click()
    look(page, "client, disabled")
    for path in ("/users", "/log"):
        page.goto(client + path)
        look(page, f"nothing yet, client {path}")


def add_clients(session: Session, number: int) -> None:
    """So many clients more for the account that the sandbox starts with."""
    first = clients.find(session, "sandbox-client")
    assert first is not None
    account = session.get_one(Account, first.account_id)
    for count in range(1, number + 1):
        name, domain = f"App number {count}", f"app-{count}.bloom.example"
        clients.create(session, account, name=name, root_domain=domain, redirect_uri=f"https://{domain}/", now=0.0)


def tour_of_many_clients(page: "Page", server: SandboxServer, look: Look) -> None:
    """The list of an account with more clients than a page shows, which `add_clients` has made."""
    dashboard = f"{server.url}/dashboard"
    enter(page, dashboard, "Local developer")
    look(page, "many clients")
    page.get_by_role("link", name="Next").click()
    look(page, "many clients, the second page")
    page.goto(f"{dashboard}/clients?search=5")
    look(page, "clients, found")
    page.goto(f"{dashboard}/clients?search=nothing-like-it")
    look(page, "clients, none found")


def enter(page: "Page", dashboard: str, name: str) -> None:
    """Go in as this member, and be at the list of clients."""
    page.context.clear_cookies()
    page.goto(dashboard)
    page.get_by_role("button", name=name).click()
    page.wait_for_url(f"{dashboard}/clients")


def tour_of_example(page: "Page", origin: str, elsewhere: str, look: Look) -> None:
    """An example with pages: nobody, a person with nothing, with tickets, and one who was signed out.

    `elsewhere` is a page of another site with a link that begins a login.
    """
    page.goto(f"{origin}/")
    look(page, "signed out")
    page.goto(f"{origin}{CALLBACK}?token=a-token-of-nobody")
    look(page, "error")
    page.goto(elsewhere)
    page.get_by_role("link").click()
    page.wait_for_url(f"{origin}/xwms/auth?**")
    look(page, "confirm")
    _log_in(page, f"{origin}/tickets")
    look(page, "no tickets")
    page.goto(f"{origin}/tickets/new")
    look(page, "new ticket")
    send(page, "/tickets", subject=" ", message=" ")
    look(page, "new ticket, refused")
    page.goto(f"{origin}/tickets/new")
    send(page, "/tickets", subject=f"My printer {'W' * 60}", message="It is on fire.")
    look(page, "ticket")
    for name, path in {
        "signed in": "/",
        "tickets": "/tickets",
        "one device": "/devices",
        "not found": "/nowhere",
    }.items():
        page.goto(origin + path)
        look(page, name)
    assert page.context.browser is not None
    other = page.context.browser.new_context()
    second = other.new_page()
    _log_in(second, f"{origin}/devices")
    page.goto(f"{origin}/devices")
    look(page, "devices")
    second.get_by_role("button", name="Log out everywhere").click()
    second.wait_for_url(f"{origin}/")
    other.close()
    page.goto(f"{origin}/")
    look(page, "signed out elsewhere")


def tour_of_fastapi_example(page: "Page", origin: str, look: Look) -> None:
    """The example whose one page is made by its script."""

    def show(path: str, heading: str, name: str) -> None:
        page.goto(origin + path)
        page.get_by_role("heading", name=heading).first.wait_for()
        look(page, name)

    show("/", "Welcome", "signed out")
    show("/tickets", "Please log in", "login needed")
    page.get_by_role("main").get_by_role("button", name="Log in").click()
    page.get_by_role("button", name="Anna de Vries").first.click()
    page.get_by_role("heading", name="No tickets yet").wait_for()
    look(page, "no tickets")
    show("/tickets/new", "Open a ticket", "new ticket")
    page.get_by_label("Subject").fill(" ")
    page.get_by_label("Message").fill(" ")
    page.get_by_role("button", name="Send").click()
    page.get_by_text("Please give your ticket a subject").wait_for()
    look(page, "new ticket, refused")
    page.get_by_label("Subject").fill(f"My printer {'W' * 60}")
    page.get_by_label("Message").fill("It is on fire.")
    page.get_by_role("button", name="Send").click()
    page.get_by_role("heading", name="My printer").wait_for()
    look(page, "ticket")
    show("/", "Hello", "signed in")
    show("/tickets", "Your tickets", "tickets")
    show("/nowhere", "There is nothing here", "not found")
    page.goto(f"{origin}/tickets/new")
    page.get_by_label("Subject").fill("Lost")
    page.get_by_label("Message").fill("Lost")
    page.context.clear_cookies()
    page.get_by_role("button", name="Send").click()
    page.get_by_role("complementary").wait_for()
    look(page, "no longer logged in")


def _log_in(page: "Page", url: str) -> None:
    page.goto(url)
    page.get_by_role("button", name="Anna de Vries").first.click()
    page.wait_for_url(url)
