"""oidc-provider-mock, which takes any client and any name: `python mock_server.py PORT CLIENT`."""

import sys
from datetime import timedelta

import uvicorn
from a2wsgi import WSGIMiddleware
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from oidc_provider_mock import app

PORT = int(sys.argv[1])
print(f"http://127.0.0.1:{PORT}", flush=True)
# Its own option is for the code only; after a refresh Authlib's default would hold, ten days.
BearerTokenGenerator.GRANT_TYPES_EXPIRES_IN["refresh_token"] = 50
provider = app(access_token_max_age=timedelta(seconds=50))
uvicorn.run(WSGIMiddleware(provider), host="127.0.0.1", port=PORT, log_level="warning")
