"""moto's server, and beside it, on a port of its own, what its backends hold: names and kinds, nothing that changes by
itself. moto's own /moto-api/data.json lists what was ever made, also when it is gone again.

    moto-server.py <port> <dump port>
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from moto.core.base_backend import BackendDict
from moto.server import main

SERVICES = ["awslambda", "iam", "s3", "cloudformation", "sqs", "events", "apigatewayv2", "logs", "cloudfront", "ec2"]

# What AWS too remembers of what is gone, and counters.
FORGOTTEN = {"deleted_stacks", "_url_maps", "_instances", "notification_id", "account_aliases"}


def held(value, depth=0):
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    if depth > 4:
        return type(value).__name__
    if isinstance(value, dict):
        return {str(key): held(item, depth + 1) for key, item in sorted(value.items(), key=lambda i: str(i[0]))}
    if isinstance(value, (list, tuple, set)):
        return [held(item, depth + 1) for item in value]
    kind = type(value)
    if kind.__module__.startswith("moto") and kind.__name__.endswith(("Backend", "Storage", "TaggingService")):
        entries = {key: held(item, depth + 1) for key, item in sorted(vars(value).items()) if key not in FORGOTTEN}
        return {key: item for key, item in entries.items() if isinstance(item, (dict, list))}
    return kind.__name__


def full(value):
    """Without what is empty, and without a backend's own settings."""
    if not isinstance(value, dict):
        return value
    entries = {key: full(item) for key, item in value.items()}
    return {key: item for key, item in entries.items() if item not in ({}, [], None)}


def dump():
    from moto.backends import get_backend

    found = {}
    for service in SERVICES:
        for account, regions in get_backend(service.replace("awslambda", "lambda")).items():
            for region, backend in regions.items():
                state = {key: item for key, item in held(backend).items() if isinstance(item, (dict, list))}
                found[f"{service} {account} {region}"] = state
    return full(found)


class Dump(BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            body, status = json.dumps(dump()).encode(), 200
        except Exception as error:  # the test reads it
            body, status = repr(error).encode(), 500
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


threading.Thread(target=HTTPServer(("127.0.0.1", int(sys.argv[2])), Dump).serve_forever, daemon=True).start()
main(["-H", "127.0.0.1", "-p", sys.argv[1]])
