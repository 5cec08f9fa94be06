"""What Chromium's own tests tell at length, in Firefox as well, and on both doors: 127.0.0.1, reload and back, tabs."""

import pytest

from tests.browser.drivers import wait_for, wait_for_url
from tests.browser.houses import ANNA, ANNAS_SUB, choose_anna, serve, text
from tests.browser.visitor import CALLBACK
from xwms_auth.sandbox import SandboxServer, SandboxSettings

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("driver", ["chromium", "firefox"], indirect=True)
@pytest.mark.parametrize("edge", ["flask", "starlette"])
def test_who_types_127_0_0_1_comes_home_to_localhost_and_reload_and_back_log_nobody_in_again(driver, edge):
    """The redirect URI says localhost, which to a browser is another host."""
    with serve(edge, callback_token="either") as house:
        driver.open(house.origin.replace("localhost", "127.0.0.1") + "/private?page=2")
        choose_anna(driver, house, back_at="/private?page=2")
        driver.reload()
        assert text(driver, "#who") == ANNA
        driver.back()
        wait_for_url(driver, house.sign_in_pages)
        driver.open(house.origin + "/private")
        assert text(driver, "#who") == ANNA
        assert len(house.journal.to(CALLBACK)) == 1


@pytest.mark.parametrize("driver", ["chromium", "firefox"], indirect=True)
def test_after_a_refused_form_of_the_dashboard_its_list_of_faults_has_the_focus(driver):
    with SandboxServer(SandboxSettings(redirect_uris=("http://localhost:5000/callback",)), port=0) as sandbox:
        driver.open(f"{sandbox.url}/dashboard/register")
        driver.click("main button")
        wait_for(lambda: driver.run("document.title.startsWith('Error: ')"), "the page with the faults")
        wait_for(lambda: driver.run("document.activeElement.className === 'faults'"), "the focus on them")


@pytest.mark.parametrize(("edge", "mode"), [("flask", "fresh"), ("starlette", "either")])
def test_eight_tabs_at_once_all_come_home(drivers, edge, mode):
    """SM-09: each to its own page where the token tells the logins apart."""
    driver = drivers("firefox")
    driver.forget()
    paths = [f"/private?tab={number}" for number in range(8)]
    brought = "fresh" if mode == "fresh" else "same"
    with serve(edge, callback_token=mode, brought=brought, auto_login=ANNAS_SUB) as house:
        tabs = []
        for _ in paths:
            driver.new_window()
            tabs.append(driver.front())
        for tab, path in zip(tabs, paths, strict=True):
            driver.window(tab)
            driver.set_out(house.origin + path)
        ends = []
        for tab in tabs:
            driver.window(tab)
            ends.append(wait_for_url(driver, f"{house.origin}/($|private)").removeprefix(house.origin))
            assert text(driver, "#who") == ANNA
        assert ends == paths or mode == "fresh"
