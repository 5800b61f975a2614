"""A token server behind TLS: gives user `me` with password `secret` a token for what is asked for.

usage: token_server.py FOLDER

FOLDER has server.crt and server.key, of TLS and of what signs tokens. The first line printed is its port.
"""

import base64
import http.server
import json
import os
import ssl
import subprocess
import sys
import time
import urllib.parse

PASSWORD = "Basic " + base64.b64encode(b"me:secret").decode()


def encoded(data):
    """Base64 as tokens have it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def token(folder, service, scopes):
    """A token of RFC 7519 with the claims that registries ask for."""
    with open(os.path.join(folder, "server.crt"), encoding="ascii") as file:
        certificate = "".join(file.read().split("-----")[2].split())
    access = []
    for scope in scopes:
        kind, name, actions = scope.split(":")
        access.append({"type": kind, "name": name, "actions": actions.split(",")})
    now = int(time.time())
    claims = {"iss": "tests", "sub": "me", "aud": service, "iat": now, "nbf": now - 5,
              "exp": now + 60, "jti": "1", "access": access}
    parts = ({"typ": "JWT", "alg": "RS256", "x5c": [certificate]}, claims)
    signed = b".".join(encoded(json.dumps(part).encode()) for part in parts)
    key = os.path.join(folder, "server.key")
    signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=signed,
                               stdout=subprocess.PIPE, check=True).stdout
    return (signed + b"." + encoded(signature)).decode()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers requests for tokens."""

    def do_GET(self):
        """Gives a token to whom knows the password."""
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        granted = self.headers.get("Authorization") == PASSWORD
        body = {"details": "unknown user"}
        if granted:
            body = {"token": token(sys.argv[1], query["service"][0], query.get("scope", []))}
        body = json.dumps(body).encode()
        self.send_response(200 if granted else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Says nothing."""


def main():
    """Serves until it is ended."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*(os.path.join(sys.argv[1], f"server.{end}") for end in ("crt", "key")))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    print(server.server_address[1], flush=True)
    server.serve_forever()


main()
