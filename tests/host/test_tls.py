"""The TLS certificate and its renewal."""

import socket
import ssl
from datetime import UTC, datetime

import pytest
from testinfra.host import Host

from tests.host.client import Client
from tests.host.variables import Variables

pytestmark = pytest.mark.unit("tls-renew")


def test_private_keys_are_readable_only_by_root(host: Host, variables: Variables) -> None:
    keys = host.check_output("find %s -name '*key*'", variables["tls_directory"]).split()
    assert variables.expand("{tls_directory}/privkey.pem") in keys
    for key in map(host.file, keys):
        assert (key.user, key.mode) == ("root", 0o600)


def test_certificate_verifies_with_its_ca(client: Client) -> None:
    assert client.get("/").status != 0


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_protocol_is_rejected(client: Client, version: ssl.TLSVersion) -> None:
    context = client.tls()
    context.minimum_version = context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    with (
        socket.create_connection((client.address, 443), timeout=30) as raw,
        pytest.raises((ssl.SSLError, ConnectionResetError)),
    ):
        context.wrap_socket(raw, server_hostname=client.server_name)


def test_valid_certificate_is_kept(host: Host, variables: Variables) -> None:
    before = host.file(variables.expand("{tls_directory}/fullchain.pem")).sha256sum
    assert host.check_output("tls-renew") == "kept"
    assert host.file(variables.expand("{tls_directory}/fullchain.pem")).sha256sum == before


def test_sandboxed_renewal_publishes_the_expiry_time(host: Host, variables: Variables) -> None:
    host.check_output("systemctl start tls-renew.service")
    assert host.check_output("systemctl show --property=Result tls-renew.service") == "Result=success"
    metric = variables.expand("^{tls_metrics_prefix}certificate_expiry_timestamp_seconds ")
    expiry = int(host.check_output("grep '%s' %s | cut -d' ' -f2", metric, variables["tls_metrics_file"]))
    shown = host.check_output(
        variables.expand("openssl x509 -in {tls_directory}/fullchain.pem -noout -enddate")
    )
    assert shown == f"notAfter={datetime.fromtimestamp(expiry, UTC):%b %e %H:%M:%S %Y} GMT"


def test_remaining_lifetime_is_between_a_third_and_the_whole(host: Host, variables: Variables) -> None:
    if variables["tls_mode"] == "own":
        pytest.skip("the certificate is the operator's own")
    still_valid_after = variables.expand("openssl x509 -in {tls_directory}/fullchain.pem -noout -checkend ")
    assert host.run(f"{still_valid_after}{variables['tls_days'] * 86400 // 3}").rc == 0
    assert host.run(f"{still_valid_after}{variables['tls_days'] * 86400}").rc == 1
