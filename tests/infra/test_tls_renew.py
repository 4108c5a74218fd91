"""tls-renew with real openssl, in a temporary directory, with fake systemctl and ACME client."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.infra.rendering import server
from tools.paths import ROOT

TEMPLATE = ROOT / "roles" / "tls" / "templates" / "usr" / "local" / "sbin" / "tls-renew.j2"
SYSTEMCTL = """\
#!/bin/sh
case $1 in --quiet) exit 0 ;; esac
echo "$*" >>{place}/commands
test ! -e {place}/broken
"""

# Fake ACME client that signs every request.
DEHYDRATED = """\
#!/bin/sh
for last; do :; done
case $* in *--signcsr*)
    openssl req -x509 -newkey rsa:2048 -nodes -keyout {place}/k -out {place}/c -days 9 -subj /CN=A
    openssl x509 -req -in "$last" -CA {place}/c -CAkey {place}/k -days 9 ;;
esac
"""

# Fake date that is some days ahead.
LATER = """\
#!/bin/sh
[ "$*" != +%s ] || set -- --date=+{days}days +%s
PATH=/bin exec date "$@"
"""

Renew = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def renew(tmp_path: Path) -> Renew:
    (tmp_path / "tls").mkdir()
    for name, text in (("systemctl", SYSTEMCTL), ("dehydrated", DEHYDRATED)):
        (tmp_path / name).write_text(text.format(place=tmp_path))
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    program = tmp_path / "tls-renew"
    variables = {
        "tls_directory": str(tmp_path / "tls"),
        "tls_subject_alt_names": ["trade.example.org", "127.0.0.1"],
        "tls_metrics_file": str(tmp_path / "reports" / "tls.prom"),
        "tls_acme_webroot": str(tmp_path / "acme"),
    }

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        program.write_text(server("staging").render(TEMPLATE, **{**variables, **more}))
        return subprocess.run(
            ["sh", program, *arguments], env=environment, capture_output=True, text=True, check=False
        )

    return run


def commands(place: Path) -> list[str]:
    return (place / "commands").read_text().splitlines()


def test_certificate_is_issued_and_loaded_once(renew: Renew, tmp_path: Path) -> None:
    first, second = renew(), renew()
    assert (first.returncode, first.stdout) == (0, "issued: no CA that outlives a certificate\n")
    assert (second.returncode, second.stdout, second.stderr) == (0, "kept\n", "")
    assert commands(tmp_path) == ["reload nginx.service"]


def test_failed_reload_is_repeated_until_it_succeeds(renew: Renew, tmp_path: Path) -> None:
    renew()
    (tmp_path / "broken").touch()
    failed = renew("now")
    assert (failed.returncode, failed.stdout) == (3, "issued: requested\n")
    assert "still uses the old certificate" in failed.stderr
    assert renew().returncode == 3
    (tmp_path / "broken").unlink()
    assert (renew().returncode, renew().stdout) == (0, "kept\n")
    assert commands(tmp_path) == ["reload nginx.service"] * 4


def test_next_run_completes_a_run_killed_before_the_reload(renew: Renew, tmp_path: Path) -> None:
    renew()
    cut = tmp_path / "tls" / ".issue.abc123"
    cut.mkdir()
    (cut / "privkey.pem").touch()
    (tmp_path / "tls" / "unread").touch()
    assert renew().stdout == "kept\n"
    assert commands(tmp_path) == ["reload nginx.service"] * 2
    assert sorted(it.name for it in (tmp_path / "tls").iterdir()) == [
        "ca.key", "ca.pem", "fullchain.pem", "names", "privkey.pem",
    ]  # fmt: skip


def test_changed_authority_issues_at_once_and_the_same_one_does_not(renew: Renew) -> None:
    trial, real = "https://trial.example/directory", "https://real.example/directory"
    results = [
        renew(tls_mode="acme", tls_acme_directory_url=url).stdout for url in (trial, trial, real, real)
    ]
    first, other = "issued: no certificate that matches its key\n", "issued: another CA\n"
    assert results == [first, "kept\n", other, "kept\n"]


@pytest.mark.skipif(os.geteuid() != 0, reason="the report is written as its directory's owner")
def test_metrics_describe_the_loaded_certificate(renew: Renew, tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    report = tmp_path / "reports" / "tls.prom"
    renew()
    metrics = {name: float(value) for name, value in (it.split() for it in lines(report))}
    expiry, due = metrics["algosat_certificate_expiry_timestamp_seconds"], metrics[DUE]
    assert expiry - due == pytest.approx(397 / 6 * 86400, abs=2)
    before = report.read_text()
    (tmp_path / "broken").touch()
    renew("now")
    assert report.read_text() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="the report is written as its directory's owner")
@pytest.mark.parametrize(("days_ahead", "warned"), [(74, False), (76, True)])
def test_operators_certificate_is_kept_published_and_warned_about(
    renew: Renew, tmp_path: Path, days_ahead: int, warned: bool
) -> None:
    (tmp_path / "reports").mkdir()
    place = tmp_path / "tls"
    made = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=own -days 90"
    files = ("-keyout", place / "privkey.pem", "-out", place / "fullchain.pem")
    subprocess.run([*made.split(), *files], check=True, capture_output=True)
    (tmp_path / "date").write_text(LATER.format(days=days_ahead))
    (tmp_path / "date").chmod(0o755)
    (place / "unread").touch()
    before = (place / "fullchain.pem").read_text()
    results = [renew(*arguments, tls_mode="own") for arguments in ((), ("now",))]
    assert [(it.returncode, it.stdout) for it in results] == [(0, "kept\n")] * 2
    assert ("tls_certificate" in results[0].stderr) == warned
    assert commands(tmp_path) == ["reload nginx.service"]
    assert (place / "fullchain.pem").read_text() == before
    assert lines(tmp_path / "reports" / "tls.prom")[2] == "algosat_certificate_self_signed 0"


DUE = "algosat_certificate_due_timestamp_seconds"


def lines(report: Path) -> list[str]:
    return [it for it in report.read_text().splitlines() if not it.startswith("#")]
