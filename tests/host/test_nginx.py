"""nginx: forwarded requests, its own error responses, headers and rate limits."""

import re

import pytest
from testinfra.host import Host

from tests.host.client import Client, UntrustedClient
from tests.host.variables import Variables

pytestmark = pytest.mark.unit("nginx")


def test_plain_http_is_redirected_to_https(client: Client) -> None:
    response = client.get_http("/orders?limit=1")
    assert response.status == 308
    assert response.headers["location"].startswith(f"https://{client.server_name}")
    assert response.headers["location"].endswith("/orders?limit=1")


def test_acme_challenge_is_answered_without_tls(host: Host, variables: Variables, client: Client) -> None:
    directory = variables.expand("{nginx_acme_webroot}/.well-known/acme-challenge")
    host.check_output(f"umask 0022 && mkdir -p {directory} && echo proof > {directory}/test-of-nginx")
    try:
        assert client.get_http("/.well-known/acme-challenge/test-of-nginx").text == "proof\n"
    finally:
        host.run(f"rm -rf {directory}")


def test_too_large_body_gets_a_problem_response(client: Client, variables: Variables) -> None:
    largest = re.fullmatch(r"(\d+)([kmg]?)", variables["nginx_client_max_body_size"])
    assert largest is not None
    body = b"x" * (int(largest[1]) * 1024 ** " kmg".index(largest[2] or " ") + 1)
    response = client.request("POST", "/orders", body, {"content-type": "application/json"})
    assert response.status == 413
    assert response.problem["code"] == "body_too_large"


@pytest.mark.untrusted
def test_too_large_body_over_http_2_gets_a_problem_response(untrusted: UntrustedClient) -> None:
    large = "--data-binary @/usr/bin/perl"  # any file of a few MiB
    output = untrusted.run(f"curl --silent --insecure --include {large} https://{untrusted.server}/orders")
    assert output.startswith("HTTP/2 413")
    assert "body_too_large" in output


def test_malformed_request_gets_a_problem_response(client: Client) -> None:
    response = client.request("GET", "/", headers={"Bad Header": "x", "Content-Length": "many"})
    assert response.status == 400
    assert response.problem["code"] == "invalid_request"


@pytest.mark.parametrize("path", ["/metrics", "//metrics", "/%6detrics", "/docs/../metrics"])
@pytest.mark.untrusted
def test_metrics_are_forbidden_from_other_networks(untrusted: UntrustedClient, path: str) -> None:
    output = untrusted.run(
        f"curl --silent --insecure --include --path-as-is https://{untrusted.server}{path}"
    )
    assert output.startswith("HTTP/2 403")
    assert "application/problem+json" in output


def test_metrics_are_allowed_from_the_server_itself(host: Host) -> None:
    output = host.check_output(
        "curl --silent --insecure --output /dev/null --write-out '%{http_code}' https://localhost/metrics"
    )
    assert output != "403"


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
    ],
)
def test_response_has_the_security_header_once(client: Client, header: str, value: str) -> None:
    assert client.get("/health").headers[header] == value


def test_hsts_header_has_the_configured_age(client: Client, variables: Variables) -> None:
    header = client.get("/health").headers.get("strict-transport-security")
    seconds = variables["nginx_hsts_max_age"]
    assert header == (f"max-age={seconds}; includeSubDomains" if seconds else None)


def test_content_security_policy_forbids_framing(client: Client) -> None:
    assert "frame-ancestors 'none'" in client.get("/health").headers["content-security-policy"]


def test_server_header_hides_the_version(client: Client) -> None:
    assert client.get("/").headers["server"] == "nginx"


@pytest.mark.parametrize(
    ("sent", "kept"), [("abc-1234", True), ("abc", False), ('x" status=200', False), ("y" * 65, False)]
)
def test_valid_request_id_is_kept_and_invalid_one_replaced(client: Client, sent: str, kept: bool) -> None:
    returned = client.get("/health", {"X-Request-ID": sent}).headers["x-request-id"]
    assert (returned == sent) == kept
    assert returned


@pytest.mark.untrusted
def test_client_over_the_rate_limit_gets_429_with_retry_after(untrusted: UntrustedClient) -> None:
    url = f"https://{untrusted.server}/auth/login"
    output = untrusted.run(f"curl --silent --insecure --include --parallel '{url}?[1-60]'")
    assert "HTTP/2 429" in output
    assert "retry-after: 1" in output
    assert '"code": "rate_limited"' in output
