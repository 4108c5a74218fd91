"""What nginx lets through, and what it says when it does not."""

import re

import pytest
from testinfra.host import Host

from tests.host.outside import Outside, Stranger
from tests.host.told import Told

pytestmark = pytest.mark.unit("nginx")


def test_plain_http_is_sent_to_https(outside: Outside) -> None:
    answer = outside.plain("/orders?limit=1")
    assert answer.status == 308
    assert answer.headers["location"].startswith(f"https://{outside.name}")
    assert answer.headers["location"].endswith("/orders?limit=1")


def test_acme_challenge_is_answered_without_tls(host: Host, told: Told, outside: Outside) -> None:
    directory = told("{nginx_acme_webroot}/.well-known/acme-challenge")
    host.check_output(f"umask 0022 && mkdir -p {directory} && echo proof > {directory}/test-of-nginx")
    try:
        assert outside.plain("/.well-known/acme-challenge/test-of-nginx").text == "proof\n"
    finally:
        host.run(f"rm -rf {directory}")


def test_body_that_is_too_large_is_a_problem(outside: Outside, told: Told) -> None:
    largest = re.fullmatch(r"(\d+)([kmg]?)", told["nginx_client_max_body_size"])
    assert largest is not None
    body = b"x" * (int(largest[1]) * 1024 ** " kmg".index(largest[2] or " ") + 1)
    answer = outside.ask("POST", "/orders", body, {"content-type": "application/json"})
    assert answer.status == 413
    assert answer.problem["code"] == "body_too_large"


@pytest.mark.stranger
def test_body_that_is_too_large_is_a_problem_over_http_2_too(stranger: Stranger) -> None:
    large = "--data-binary @/usr/bin/perl"  # any file of a few MiB
    said = stranger.does(f"curl --silent --insecure --include {large} https://{stranger.server}/orders")
    assert said.startswith("HTTP/2 413")
    assert "body_too_large" in said


def test_request_that_is_no_http_is_a_problem(outside: Outside) -> None:
    answer = outside.ask("GET", "/", headers={"Bad Header": "x", "Content-Length": "many"})
    assert answer.status == 400
    assert answer.problem["code"] == "invalid_request"


@pytest.mark.parametrize("path", ["/metrics", "//metrics", "/%6detrics", "/docs/../metrics"])
@pytest.mark.stranger
def test_metrics_are_no_strangers_business(stranger: Stranger, path: str) -> None:
    said = stranger.does(f"curl --silent --insecure --include --path-as-is https://{stranger.server}{path}")
    assert said.startswith("HTTP/2 403")
    assert "application/problem+json" in said


def test_metrics_are_the_machines_own_business(host: Host) -> None:
    said = host.check_output(
        "curl --silent --insecure --output /dev/null --write-out '%{http_code}' https://localhost/metrics"
    )
    assert said != "403"


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
    ],
)
def test_answer_carries_the_header_once(outside: Outside, header: str, value: str) -> None:
    assert outside.get("/health").headers[header] == value


def test_browsers_are_told_to_use_https_only_for_as_long_as_is_meant(outside: Outside, told: Told) -> None:
    header = outside.get("/health").headers.get("strict-transport-security")
    seconds = told["nginx_hsts_max_age"]
    assert header == (f"max-age={seconds}; includeSubDomains" if seconds else None)


def test_page_may_load_nothing_unless_the_application_says_so(outside: Outside) -> None:
    assert "frame-ancestors 'none'" in outside.get("/health").headers["content-security-policy"]


def test_nginx_does_not_tell_its_version(outside: Outside) -> None:
    assert outside.get("/").headers["server"] == "nginx"


@pytest.mark.parametrize(
    ("sent", "kept"), [("abc-1234", True), ("abc", False), ('x" status=200', False), ("y" * 65, False)]
)
def test_harmless_request_id_is_kept_and_another_replaced(outside: Outside, sent: str, kept: bool) -> None:
    answered = outside.get("/health", {"X-Request-ID": sent}).headers["x-request-id"]
    assert (answered == sent) == kept
    assert answered


@pytest.mark.stranger
def test_stranger_who_asks_too_fast_is_told_to_wait(stranger: Stranger) -> None:
    url = f"https://{stranger.server}/auth/login"
    said = stranger.does(f"curl --silent --insecure --include --parallel '{url}?[1-60]'")
    assert "HTTP/2 429" in said
    assert "retry-after: 1" in said
    assert '"code": "rate_limited"' in said
