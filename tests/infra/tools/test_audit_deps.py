from __future__ import annotations

from tools.audit_deps import report


def test_report_names_vulnerabilities_and_what_was_not_looked_up() -> None:
    flask = {"name": "flask", "version": "1.0", "vulns": [{"id": "CVE-1", "fix_versions": ["1.1", "2.0"]}]}
    click = {"name": "click", "version": "8.0", "vulns": [{"id": "CVE-2", "fix_versions": []}]}
    assert list(report("a.lock", [flask, click, {"name": "x", "skip_reason": "not on PyPI"}])) == [
        "a.lock: 3 packages, 2 known vulnerabilities",
        "  flask 1.0: CVE-1, fixed in: 1.1, 2.0",
        "  click 8.0: CVE-2, fixed in: none yet",
        "  1 of them were not looked up: not on PyPI",
    ]
    assert list(report("a.lock", [{"name": "y", "version": "1", "vulns": []}])) == [
        "a.lock: 1 packages, 0 known vulnerabilities"
    ]
