"""The signals of blinker's that Flask applications can connect to, one for each event of `accounts/hooks.py`.

Each is sent with the application as the sender and the event as `event`.
"""

from blinker import Namespace

from ...accounts.hooks import AccountCreated, AccountLinked, EmailChanged, Event, LoggedIn, LoggedOut, LoginRefused

_signals = Namespace()
logged_in = _signals.signal("xwms-logged-in")
"""A person is about to be signed in; an error in a receiver ends the login. `event` is a `LoggedIn`."""
logged_out = _signals.signal("xwms-logged-out")
"""A person has logged out in this browser. `event` is a `LoggedOut`."""
login_refused = _signals.signal("xwms-login-refused")
"""One of our routes has refused a request. `event` is a `LoginRefused`."""
account_created = _signals.signal("xwms-account-created")
"""A first login has made an account. `event` is an `AccountCreated`."""
account_linked = _signals.signal("xwms-account-linked")
"""An identity was linked to an account that was there. `event` is an `AccountLinked`."""
email_changed = _signals.signal("xwms-email-changed")
"""A login has changed the e-mail address of an account. `event` is an `EmailChanged`."""

_BY_EVENT = {
    LoggedIn: logged_in,
    LoggedOut: logged_out,
    LoginRefused: login_refused,
    AccountCreated: account_created,
    AccountLinked: account_linked,
    EmailChanged: email_changed,
}


def has_receivers(event: Event) -> bool:
    """Whether anything is connected to the signal of this event."""
    return bool(_BY_EVENT[type(event)].receivers)


def send(app: object, event: Event) -> None:
    """Send the signal of an event. Raises what a receiver raises."""
    _BY_EVENT[type(event)].send(app, event=event)
