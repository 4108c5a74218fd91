"""The certificate and its renewal."""

import socket
import ssl
from datetime import UTC, datetime

import pytest
from testinfra.host import Host

from tests.host.outside import Outside
from tests.host.told import Told

pytestmark = pytest.mark.unit("tls-renew")


def test_private_keys_are_roots_alone(host: Host, told: Told) -> None:
    keys = host.check_output("find %s -name '*key*'", told["tls_directory"]).split()
    assert told("{tls_directory}/privkey.pem") in keys
    for key in map(host.file, keys):
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


def test_good_certificate_is_kept(host: Host, told: Told) -> None:
    before = host.file(told("{tls_directory}/fullchain.pem")).sha256sum
    assert host.check_output("tls-renew") == "kept"
    assert host.file(told("{tls_directory}/fullchain.pem")).sha256sum == before


def test_renewal_works_within_its_sandbox_and_tells_when_the_certificate_ends(host: Host, told: Told) -> None:
    host.check_output("systemctl start tls-renew.service")
    assert host.check_output("systemctl show --property=Result tls-renew.service") == "Result=success"
    figure = told("^{tls_metrics_prefix}certificate_expiry_timestamp_seconds ")
    ends = int(host.check_output("grep '%s' %s | cut -d' ' -f2", figure, told["tls_metrics_file"]))
    shown = host.check_output(told("openssl x509 -in {tls_directory}/fullchain.pem -noout -enddate"))
    assert shown == f"notAfter={datetime.fromtimestamp(ends, UTC):%b %e %H:%M:%S %Y} GMT"


def test_certificate_has_more_than_a_third_of_its_life_and_no_more_than_it_was_given(
    host: Host, told: Told
) -> None:
    if told["tls_mode"] == "own":
        pytest.skip("the certificate is the operator's own")
    outlives = told("openssl x509 -in {tls_directory}/fullchain.pem -noout -checkend ")
    assert host.run(f"{outlives}{told['tls_days'] * 86400 // 3}").rc == 0
    assert host.run(f"{outlives}{told['tls_days'] * 86400}").rc == 1
