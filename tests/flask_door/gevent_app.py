"""The small application on gevent's server: `python -m tests.flask_door.gevent_app WHEN OPTIONS`.

WHEN is when the standard library is patched: "first", or "last", after the application has called XWMS. OPTIONS are
those of `XWMSConfig`, as JSON. Its first line of output is its port.
"""

import json
import sys
import time

from gevent import monkey

if sys.argv[1] == "first":
    monkey.patch_all()


def main() -> None:
    from tests.tools.site import flask_app
    from xwms_auth import XWMSClient, XWMSConfig

    config = XWMSConfig(**json.loads(sys.argv[2]))
    app = flask_app(config, time.time)
    if sys.argv[1] == "last":
        with XWMSClient(config) as client:
            client.info()
        monkey.patch_all()
    from gevent.pywsgi import WSGIServer

    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
