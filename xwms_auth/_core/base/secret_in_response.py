"""The error of a response that the leak guard has stopped. It stands alone because few processes have a guard."""

from .errors import XWMSError


class SecretInResponse(XWMSError):
    """The leak guard has stopped a response. `cause` says which secret was in it and where, never what it is."""

    code = "secret_in_response"
    detail = "This was not sent. The people who run this site find the reason in its log."
