"""Loaded into schemathesis: every HTTP connection goes to the unix socket in $API_SOCKET."""

import os
import socket

from urllib3.connection import HTTPConnection


def _connect(_connection):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(30)
    client.connect(os.environ["API_SOCKET"])
    return client


HTTPConnection._new_conn = _connect
