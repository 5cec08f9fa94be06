"""The refusals that concern accounts, below those of `base/errors.py`.

NotAllowed (RequestRefused)
├── NoAccount                  not_allowed         403    the person has no account here and may not create one
└── AccountBlocked             not_allowed         403    the application has blocked the account
RequestRefused
├── AccountExists              account_exists      409    an account with this address, which only another login opens
├── LinkedElsewhere            linked_elsewhere    409    the identity belongs to another account
├── NobodyToLink               nobody_to_link      409    linking needs an account whose owner is logged in
└── LastIdentity               last_identity       409    without this identity nobody could log in to the account
"""

from ..base.errors import NotAllowed, RequestRefused


class NoAccount(NotAllowed):
    """XWMS knows the person, but they have no account in this application, and may not create one."""

    title = "You cannot log in here"
    detail = "XWMS knows you, but this site has no account for you. If it should, please ask the people who run it."


class AccountBlocked(NotAllowed):
    """The application has blocked the account."""

    title = "Your account is blocked"
    detail = "Your account on this site has been blocked. If you think that is wrong, ask the people who run the site."


class AccountExists(RequestRefused):
    """Account takeover: an account with this e-mail address exists, and an address alone does not open it."""

    code = "account_exists"
    status = 409
    title = "There is an account already"
    detail = (
        "An account with your e-mail address exists on this site. "
        "Log in to it as you did until now; its settings are the place to connect it with XWMS."
    )


class LinkedElsewhere(RequestRefused):
    """The identity is linked to another account, and never moves by itself."""

    code = "linked_elsewhere"
    status = 409
    title = "This XWMS account is connected already"
    detail = "It belongs to another account on this site. Disconnect it there first, or log in with it."


class NobodyToLink(RequestRefused):
    """An identity is to be linked, and the account's owner is not logged in, or is somebody else by now."""

    code = "nobody_to_link"
    status = 409
    title = "Log in to your account first"
    detail = "Only somebody who is logged in to an account on this site can connect it with XWMS."


class LastIdentity(RequestRefused):
    """The last identity of an account is to be removed, and the application has not allowed that."""

    code = "last_identity"
    status = 409
    title = "This is your only way to log in"
    detail = "Connect another XWMS account first, or set up another way to log in."
