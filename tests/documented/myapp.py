"""The application with several clients of which docs/several-clients.md speaks."""

from flask import Flask

from xwms_auth import XWMSConfig
from xwms_auth.flask import XWMSAuth


def config_of(host: str) -> XWMSConfig:
    return XWMSConfig.from_env(
        client_id=host, redirect_uris=[f"https://{host}/xwms/validateToken"], session_store="memory://"
    )


app = Flask(__name__)
auth = XWMSAuth(app, [config_of("shop.example"), config_of("desk.example")])
