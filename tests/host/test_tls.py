"""The certificate and its renewal."""

import socket
import ssl

import pytest
from testinfra.host import Host

from tests.host.outside import Outside

pytestmark = pytest.mark.unit("tls-renew")
DIRECTORY = "/etc/ssl/algosat"


def test_private_keys_are_roots_alone(host: Host) -> None:
    for name in ("privkey.pem", "ca.key"):
        key = host.file(f"{DIRECTORY}/{name}")
        assert (key.user, key.mode) == ("root", 0o600)


def test_certificate_is_verified_by_its_authority(outside: Outside) -> None:
    assert outside.get("/").status != 0


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_protocol_is_refused(outside: Outside, version: ssl.TLSVersion) -> None:
    context = outside.tls()
    context.minimum_version = context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    with (
        socket.create_connection((outside.address, 443), timeout=5) as raw,
        pytest.raises((ssl.SSLError, ConnectionResetError)),
    ):
        context.wrap_socket(raw, server_hostname=outside.name)


def test_good_certificate_is_kept(host: Host) -> None:
    before = host.file(f"{DIRECTORY}/fullchain.pem").sha256sum
    assert host.check_output("tls-renew") == "kept"
    assert host.file(f"{DIRECTORY}/fullchain.pem").sha256sum == before


def test_renewal_works_within_its_sandbox(host: Host) -> None:
    host.check_output("systemctl start tls-renew.service")
    assert host.check_output("systemctl show --property=Result tls-renew.service") == "Result=success"


def test_certificate_has_more_than_a_third_of_its_life(host: Host) -> None:
    assert host.run(f"openssl x509 -in {DIRECTORY}/fullchain.pem -noout -checkend {132 * 86400}").rc == 0
