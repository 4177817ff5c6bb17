"""An app without dependencies, for tests that deploy often."""

import os
import time
from urllib.parse import parse_qs

VERSION = os.environ.get("LONGSHORE_VERSION", "unreleased")


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/slow":
        query = parse_qs(environ["QUERY_STRING"])
        time.sleep(min(float(query.get("seconds", ["1"])[0]), 30))
    bodies = {"/healthz": "ok\n", "/": "tiny\n"}
    body = bodies.get(path, f"{VERSION}\n").encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
