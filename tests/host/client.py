"""Clients of the tested server: one on the machine that runs the tests, one in a network of its own."""

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
class Response:
    """An HTTP response: status, headers with lower-case names, body as text."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def problem(self) -> dict[str, Any]:
        """Return the body. Raises AssertionError if it is not a complete RFC 9457 problem."""
        assert self.headers["content-type"] == "application/problem+json"
        body: dict[str, Any] = json.loads(self.text)
        assert {"type", "title", "status", "detail", "code", "correlation_id"} <= body.keys()
        assert body["status"] == self.status
        return body


@dataclass(frozen=True)
class Client:
    """HTTP and HTTPS client of the server, on the machine that runs the tests."""

    address: str
    ca_certificate: str
    server_name: str
    source_address: str

    @classmethod
    def of(cls, host: Host, certificates: str) -> Client:
        """Use the address of the SSH connection or, if that is forwarded, the server's own address."""
        connection = host.run("echo $SSH_CONNECTION").stdout.split()
        backend = getattr(host.backend, "host", None)
        name = str(getattr(backend, "name", "localhost"))
        with host.sudo():
            certificate = host.check_output(
                f"openssl x509 -in {certificates}/fullchain.pem -noout -subject -nameopt multiline"
            )
            ca_certificate = host.file(f"{certificates}/ca.pem").content_string
        common_name = re.search(r"commonName += (\S+)", certificate)
        assert common_name is not None
        address = connection[2] if name in LOOPBACK else name
        return cls(address, ca_certificate, common_name[1], source_address=connection[0])

    def open_ports(self, ports: Iterable[int]) -> set[int]:
        """Return the ports that accept a TCP connection."""
        ports = list(ports)
        with ThreadPoolExecutor(max_workers=256) as pool:
            return {
                port for port, is_open in zip(ports, pool.map(self._accepts, ports), strict=True) if is_open
            }

    def _accepts(self, port: int) -> bool:
        try:
            with socket.create_connection((self.address, port), timeout=5):
                return True
        except OSError:
            return False

    def get(self, path: str, headers: dict[str, str] | None = None) -> Response:
        """Send a GET request over HTTPS."""
        return self.request("GET", path, headers=headers)

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Response:
        """Send a request over HTTPS and verify the certificate with the server's CA."""
        connection = HTTPSConnection(self.address, 443, timeout=30, context=self.tls())
        # The certificate is issued for the name, not for the address.
        raw = socket.create_connection((self.address, 443), timeout=30)
        connection.sock = self.tls().wrap_socket(raw, server_hostname=self.server_name)
        return _exchange(connection, method, path, body, {"Host": self.server_name, **(headers or {})})

    def get_http(self, path: str) -> Response:
        """Send a GET request over plain HTTP."""
        return _exchange(
            HTTPConnection(self.address, 80, timeout=30), "GET", path, None, {"Host": self.server_name}
        )

    def tls(self) -> ssl.SSLContext:
        """Return a TLS context that trusts only the server's CA."""
        return ssl.create_default_context(cadata=self.ca_certificate)


def _exchange(
    connection: HTTPConnection, method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> Response:
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        named = {key.lower(): value for key, value in response.getheaders()}
        return Response(response.status, named, response.read().decode())
    finally:
        connection.close()


@dataclass
class UntrustedClient:
    """Client in a network namespace of the server, whose address the inventory does not trust."""

    host: Host
    address: str = "192.0.2.2"
    server: str = "192.0.2.1"
    namespace: str = field(default="untrusted", init=False)

    def create(self) -> None:
        """Create the network namespace and connect it to the server."""
        self.remove()
        for step in (
            f"ip netns add {self.namespace}",
            f"ip link add {self.namespace} type veth peer name uplink netns {self.namespace}",
            f"ip address add {self.server}/30 dev {self.namespace}",
            f"ip link set {self.namespace} up",
            f"ip -n {self.namespace} address add {self.address}/30 dev uplink",
            f"ip -n {self.namespace} link set uplink up",
        ):
            self.host.check_output(step)

    def remove(self) -> None:
        """Remove the network namespace and unban its address."""
        self.host.run(f"ip netns delete {self.namespace}; ip link delete {self.namespace}")
        self.host.run(f"fail2ban-client unban {self.address}")

    def run(self, command: str) -> str:
        """Run a command in the namespace and return its output, whatever its exit status."""
        # Testinfra takes exit status 255, with which a refused ssh ends, for a lost connection to the server.
        result = self.host.run(f"ip netns exec {self.namespace} {command} 2>&1 || true")
        return str(result.stdout)

    def can_connect(self, port: int) -> bool:
        """Return True if the server accepts a TCP connection to the port."""
        return "connected" in self.run(
            f"timeout 10 bash -c '</dev/tcp/{self.server}/{port} && echo connected'"
        )
