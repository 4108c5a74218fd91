"""Certificate renewal under load: self-signed, issued by ACME, and supplied by the operator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from testinfra.host import Host

from tests.host.load import Load
from tests.operations.controller import Controller

pytestmark = pytest.mark.unit("nginx", "tls-renew", "acme-authority")

FULLCHAIN = "/etc/ssl/algosat/fullchain.pem"
ARCHIVE = "/var/cache/apt/archives/caddy_*.deb"
HOME = "/var/lib/acme-authority"
# Caddy as an ACME server. Its certificates are valid for twelve hours.
CADDYFILE = f"""\
{{
    admin off
    storage file_system {HOME}
    http_port 14001
    https_port 14000
    skip_install_trust
}}
https://localhost:14000 {{
    tls internal
    acme_server
}}
"""
DROP_IN_PATH = "/run/systemd/system/tls-renew.service.d"
DROP_IN = "[Service]\nExecStart=\nExecStart=/bin/sh /run/tls-later\n"
DIRECTORY_URL = "https://localhost:14000/acme/local/directory"


def issuer(host: Host) -> str:
    return str(host.check_output(f"openssl x509 -in {FULLCHAIN} -noout -issuer"))


def serial(host: Host) -> str:
    return str(host.check_output(f"openssl x509 -in {FULLCHAIN} -noout -serial"))


@pytest.fixture(scope="module")
def authority(host: Host, shared_connection: None) -> Iterator[str]:
    """Run a CA on this server and return its root certificate."""
    with host.sudo():
        host.check_output(f"rm -rf {HOME} /var/lib/tls-renew/*")
        host.check_output(
            "apt-get -qq --yes install --download-only caddy"
        )  # installing would start a server
        # Unpack the newest of the downloaded versions.
        host.check_output(f"mkdir -p {HOME} && dpkg-deb --extract $(ls -v {ARCHIVE} | tail -1) {HOME}/root")
        host.check_output(f"printf %s > {HOME}/Caddyfile", CADDYFILE)
        caddy = f"{HOME}/root/usr/bin/caddy run --config {HOME}/Caddyfile"
        host.check_output(f"systemd-run --quiet --unit=acme-authority --setenv=HOME={HOME} {caddy}")
        root = f"{HOME}/pki/authorities/local/root.crt"
        request = f"curl -s -o /dev/null --cacert {root} {DIRECTORY_URL}"
        host.check_output(f"timeout 120 sh -c 'until {request}; do sleep 0.3; done'")
        yield str(host.file(root).content_string)
        host.run("systemctl stop acme-authority")


def provision(controller: Controller, root: str, directory_url: str = DIRECTORY_URL) -> str:
    variables = {
        "tls_mode": "acme",
        "tls_ca_certificate": root,
        "tls_acme_directory_url": directory_url,
        "tls_acme_domains": [controller.server],
    }
    return controller.play("provision.yml", "--tags=tls", f"--extra-vars={json.dumps(variables)}")


def test_renewal_of_the_self_signed_certificate_fails_no_request(host: Host, load: Load) -> None:
    before = serial(host)
    with load:
        host.check_output("tls-renew now")
    assert serial(host) != before
    assert load.failures == []
    assert len(load.acknowledged) > 10


def test_unreachable_authority_keeps_the_current_certificate(
    host: Host, controller: Controller, authority: str
) -> None:
    before = serial(host)
    output = provision(controller, authority, "https://localhost:14009/nowhere")
    assert "the CA issued no certificate; the old one stays" in output
    assert serial(host) == before


def test_switch_to_an_acme_certificate_fails_no_request(
    host: Host, controller: Controller, load: Load, authority: str
) -> None:
    before = load.trader.client
    client = replace(before, ca_certificate=before.ca_certificate + authority)
    load.trader = replace(load.trader, client=client)
    with load:
        provision(controller, authority)
    assert "Caddy" in issuer(host)
    assert load.failures == []
    assert client.get("/health").status == 200
    assert "certificate_self_signed 0" in host.file("/var/lib/algosat/reports/tls.prom").content_string


def test_certificate_with_over_a_third_of_its_lifetime_is_kept(host: Host, authority: str) -> None:
    assert host.check_output("tls-renew") == "kept"


def test_sandboxed_service_renews_after_two_thirds_of_the_lifetime(host: Host, authority: str) -> None:
    before = serial(host)
    # Run the program with a clock that is nine of the twelve hours ahead.
    host.check_output("sed 's/date +%s/date --date=+9hours +%s/' /usr/local/sbin/tls-renew > /run/tls-later")
    host.check_output(
        f"mkdir -p {DROP_IN_PATH} && printf %s > {DROP_IN_PATH}/later.conf && systemctl daemon-reload",
        DROP_IN,
    )
    host.check_output("systemctl start tls-renew.service")
    host.check_output(f"rm -r {DROP_IN_PATH} && systemctl daemon-reload")
    assert serial(host) != before
    assert "Caddy" in issuer(host)


def test_operators_certificate_is_served_and_its_expiry_published(host: Host, controller: Controller) -> None:
    made = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=own -days 90"
    host.check_output(f"{made} -keyout /run/own.key -out /run/own.pem")
    own = {"tls_mode": "own"} | {
        name: host.file(file).content_string
        for name, file in (("tls_certificate", "/run/own.pem"), ("tls_private_key", "/run/own.key"))
    }
    controller.play("provision.yml", "--tags=tls", f"--extra-vars={json.dumps(own)}")
    shown = "openssl s_client -connect localhost:443 </dev/null 2>/dev/null | openssl x509 -noout -enddate"
    ends = host.check_output(f"{shown} | cut -d= -f2 | date --file=- +%s")
    assert ends == host.check_output(
        "openssl x509 -in /run/own.pem -noout -enddate | cut -d= -f2 | date --file=- +%s"
    )
    metrics = host.file("/var/lib/algosat/reports/tls.prom").content_string
    assert f"\nalgosat_certificate_expiry_timestamp_seconds {ends}\n" in metrics


def test_switch_back_to_a_self_signed_certificate_removes_acme(
    host: Host, controller: Controller, authority: str
) -> None:
    controller.play("provision.yml", "--tags=tls")
    assert "Caddy" not in issuer(host)
    assert not host.file("/etc/tls-renew/acme.conf").exists
