"""The audit: parsing of scanner reports, and the findings that docs/hardening.md explains."""

from __future__ import annotations

import socket

import pytest

from tools.audit import cis, lynis, secure_shell, tls
from tools.audit.__main__ import answered, exposure, verb
from tools.bench.report import published
from tools.paths import ROOT
from tools.say import Trouble

PAGE = (ROOT / "docs" / "hardening.md").read_text()
LYNIS = """\
hardening_index=88
suggestion[]=LYNIS|This release is old.|-|-|
suggestion[]=SSH-7408|Consider hardening SSH configuration|Port (set 22 to )|-|
warning[]=PKGS-7392|Found one or more vulnerable packages.|-|-|
"""
CIS = """\
<Benchmark xmlns="http://checklists.nist.gov/xccdf/1.2"><TestResult>
<rule-result idref="xccdf_org.ssgproject.content_rule_a"><result>pass</result></rule-result>
<rule-result idref="xccdf_org.ssgproject.content_rule_b"><result>pass</result></rule-result>
<rule-result idref="xccdf_org.ssgproject.content_rule_c"><result>pass</result></rule-result>
<rule-result idref="xccdf_org.ssgproject.content_rule_d"><result>fail</result></rule-result>
<rule-result idref="xccdf_org.ssgproject.content_rule_e"><result>notapplicable</result></rule-result>
</TestResult></Benchmark>"""
POLICIES = """\
  * "Hardened Debian 12 (version 2)"
  * "Hardened Debian 12 (version 10)"
  * "Hardened Debian Client 12 (version 11)"
  * "Hardened Ubuntu Server 24.04 LTS (version 2)"
"""


def test_lynis_report_gives_index_suggestions_and_warnings() -> None:
    assert lynis.parsed(LYNIS) == (88, {"LYNIS", "SSH-7408", "PKGS-7392"})


def test_incomplete_lynis_report_is_an_error() -> None:
    with pytest.raises(ValueError, match="no hardening index"):
        lynis.parsed("suggestion[]=LYNIS|This release is old.|-|-|\n")


def test_rule_that_does_not_apply_is_not_counted() -> None:
    report = cis.parsed(CIS)
    assert report.percent == 75.0
    assert report.failed == {"d"}


def test_tls_report_gives_grade_and_score() -> None:
    report = '[{"id": "overall_grade", "finding": "A+"}, {"id": "final_score", "finding": "96"}]'
    assert tls.parsed(report) == ("A+", 96)


@pytest.mark.parametrize(
    ("distribution", "policy"),
    [
        ("Debian 12", "Hardened Debian 12 (version 10)"),
        ("Ubuntu 24.04", "Hardened Ubuntu Server 24.04 LTS (version 2)"),
    ],
)
def test_newest_server_policy_of_the_distribution_is_chosen(distribution: str, policy: str) -> None:
    assert secure_shell.newest_policy(POLICIES, distribution) == policy


def test_unreachable_server_is_an_error() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound, but not listening
        with pytest.raises(Trouble, match="no result"):
            secure_shell.objections(bound.getsockname()[1])


def test_subset_policy_allows_a_subset_of_the_algorithms() -> None:
    policy = {"host_keys": ["k"], "kex": ["x", "y"], "ciphers": ["c"], "macs": ["m"]}
    written = secure_shell.as_subset("P", policy).splitlines()
    assert "key exchanges = x, y" in written
    assert "allow_algorithm_subset_and_reordering = true" in written


def test_exposure_is_read_from_the_summary_of_systemd() -> None:
    assert exposure("→ Overall exposure level for nginx.service: 2.5 OK :-)") == 2.5


def test_explained_rules_are_those_with_a_reason() -> None:
    page = "| rule | answer |\n|---|---|\n| `a` `b` | Why. |\n| `c` |  |\n"
    assert answered(page) == {"a", "b"}


@pytest.mark.parametrize("distro", ["debian-12", "debian-13"])
def test_page_has_a_section_for_each_distribution(distro: str) -> None:
    assert "figures of today" in published(PAGE, "figures of today", verb=verb(distro))


def test_page_explains_findings_of_lynis_and_cis() -> None:
    assert {"SSH-7408", "package_ufw_removed"} <= answered(PAGE)
