"""Looking at a server from where others see it."""

from __future__ import annotations

import json
import re
import socket
import ssl
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPSConnection
from typing import Any

from testinfra.host import Host

LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@dataclass(frozen=True)
class Answer:
    """What came back: status, headers in small letters, and the body's text."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def problem(self) -> dict[str, Any]:
        """The body, if it is what the contract of errors asks for."""
        assert self.headers["content-type"] == "application/problem+json"
        body: dict[str, Any] = json.loads(self.text)
        assert {"type", "title", "status", "detail", "code", "correlation_id"} <= body.keys()
        assert body["status"] == self.status
        return body


@dataclass(frozen=True)
class Outside:
    """The server at its address, seen from the machine that runs the tests."""

    address: str
    authority: str
    name: str
    seen_from: str

    @classmethod
    def of(cls, host: Host, certificates: str) -> Outside:
        """Its address is the one SSH goes to or, if that is forwarded, the one the server saw itself at."""
        seen = host.run("echo $SSH_CONNECTION").stdout.split()
        backend = getattr(host.backend, "host", None)
        named = str(getattr(backend, "name", "localhost"))
        with host.sudo():
            certificate = host.check_output(
                f"openssl x509 -in {certificates}/fullchain.pem -noout -subject -nameopt multiline"
            )
            authority = host.file(f"{certificates}/ca.pem").content_string
        common_name = re.search(r"commonName += (\S+)", certificate)
        assert common_name is not None
        return cls(seen[2] if named in LOOPBACK else named, authority, common_name[1], seen_from=seen[0])

    def open_ports(self, ports: Iterable[int]) -> set[int]:
        """Those of the ports that accept a connection."""
        ports = list(ports)
        with ThreadPoolExecutor(max_workers=256) as pool:
            return {
                port for port, is_open in zip(ports, pool.map(self._accepts, ports), strict=True) if is_open
            }

    def _accepts(self, port: int) -> bool:
        try:
            with socket.create_connection((self.address, port), timeout=2):
                return True
        except OSError:
            return False

    def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        """A GET over HTTPS, the certificate verified by the server's authority."""
        return self.ask("GET", path, headers=headers)

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """A request over HTTPS."""
        connection = HTTPSConnection(self.address, 443, timeout=30, context=self.tls())
        # The certificate is for the name, whatever address it is reached at.
        raw = socket.create_connection((self.address, 443), timeout=30)
        connection.sock = self.tls().wrap_socket(raw, server_hostname=self.name)
        return _exchange(connection, method, path, body, {"Host": self.name, **(headers or {})})

    def plain(self, path: str) -> Answer:
        """A GET without TLS."""
        return _exchange(HTTPConnection(self.address, 80, timeout=10), "GET", path, None, {"Host": self.name})

    def tls(self) -> ssl.SSLContext:
        """A client's context that trusts nobody but the server's authority."""
        return ssl.create_default_context(cadata=self.authority)


def _exchange(
    connection: HTTPConnection, method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> Answer:
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        named = {key.lower(): value for key, value in answer.getheaders()}
        return Answer(answer.status, named, answer.read().decode())
    finally:
        connection.close()


@dataclass
class Stranger:
    """A network of its own on the server, from which one reaches it like anybody on the internet does."""

    host: Host
    address: str = "192.0.2.2"
    server: str = "192.0.2.1"
    space: str = field(default="stranger", init=False)

    def arrive(self) -> None:
        """Lay the line."""
        self.leave()
        for step in (
            f"ip netns add {self.space}",
            f"ip link add {self.space} type veth peer name line netns {self.space}",
            f"ip address add {self.server}/30 dev {self.space}",
            f"ip link set {self.space} up",
            f"ip -n {self.space} address add {self.address}/30 dev line",
            f"ip -n {self.space} link set line up",
        ):
            self.host.check_output(step)

    def leave(self) -> None:
        """Cut the line, and have the server forget who misbehaved on it."""
        self.host.run(f"ip netns delete {self.space}; ip link delete {self.space}")
        self.host.run(f"fail2ban-client unban {self.address}")

    def does(self, command: str) -> str:
        """What a command prints when the stranger gives it, whatever becomes of it."""
        # Its ssh may end with 255, which over SSH would look as if the server itself were out of reach.
        done = self.host.run(f"ip netns exec {self.space} {command} 2>&1 || true")
        return str(done.stdout)

    def reaches(self, port: int) -> bool:
        """Whether a connection to that port of the server is accepted."""
        return "reached" in self.does(f"timeout 2 bash -c '</dev/tcp/{self.server}/{port} && echo reached'")
