"""Answers to what is not even a request: gunicorn refuses it before the application sees it."""

from __future__ import annotations

import socket
from http import HTTPStatus

import orjson
from gunicorn.util import write_nonblock

from algosat.api.media import PROBLEM
from algosat.monitoring import correlation


def write_problem(client: socket.socket, status: int, reason: str, _message: str) -> None:
    """In the place of gunicorn.util.write_error; the message repeats what was sent, so it is left out."""
    code = "invalid_request" if status == HTTPStatus.BAD_REQUEST else f"http_{status}"
    body = orjson.dumps(
        {
            "type": f"urn:algosat:error:{code}",
            "title": reason,
            "status": status,
            "detail": "The request is not well-formed HTTP, or exceeds what this server takes",
            "code": code,
            "correlation_id": correlation.new(),
            "errors": [],
        }
    )
    head = (
        f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: {PROBLEM}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    write_nonblock(client, head.encode("latin-1") + body)
