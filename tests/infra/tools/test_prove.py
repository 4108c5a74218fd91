"""The parts of `make prove`, their state and their page."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tools import proofs, prove, shell
from tools.paths import ROOT
from tools.proofs import FAILED, NOT_POSSIBLE, PASSED, Part, is_done, page, run
from tools.say import Trouble

BENCH = """\
| work | measured | wanted | met |
|---|---|---|---|
| first request | 0.5 s | ≤ 2 s | yes |
| orders | 90/s | ≥ 200/s | **no** |
| back-test | 20,000 events/s |  |  |
"""


@pytest.fixture(autouse=True)
def own_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(proofs, "STATE", tmp_path)


def part(script: str, **options: object) -> Part:
    command = (sys.executable, "-c", script)
    return Part("some", "what it proves", command, proofs.lines("^orders"), **options)  # type: ignore[arg-type]


def test_part_that_exits_with_0_has_passed_and_its_figures_are_read() -> None:
    outcome = run(part("print('noise'); print('orders: 2000')"), "abc")
    assert (outcome.result, outcome.figures) == (PASSED, ["orders: 2000"])


@pytest.mark.parametrize(
    "script", ["raise SystemExit(1)", f"print({BENCH!r})"], ids=["exit code", "missed figure"]
)
def test_part_fails_by_its_exit_code_or_by_a_figure_that_is_not_met(script: str) -> None:
    assert run(part(script), "abc").result == FAILED


def test_part_whose_archive_is_out_of_reach_is_not_possible_and_says_why() -> None:
    outcome = run(part("print('error: the ubuntu-24.04 archive gave no image'); raise SystemExit(1)"), "abc")
    assert (outcome.result, outcome.figures) == (NOT_POSSIBLE, ["the ubuntu-24.04 archive gave no image"])


def test_part_whose_preparation_fails_is_not_possible_and_names_the_remedy() -> None:
    def prepare() -> None:
        raise Trouble("there is no server", "make up")

    outcome = run(part("", prepare=prepare), "abc")
    assert (outcome.result, outcome.figures) == (NOT_POSSIBLE, ["there is no server", "make up"])


def test_part_is_done_at_the_commit_it_passed_at_and_at_no_other() -> None:
    fine = part("")
    assert not is_done(fine, "abc")
    run(fine, "abc")
    assert is_done(fine, "abc")
    assert not is_done(fine, "def")


def test_part_that_failed_is_run_again() -> None:
    broken = part("raise SystemExit(1)")
    run(broken, "abc")
    assert not is_done(broken, "abc")


def test_page_shows_the_last_outcome_and_keeps_sections_of_other_checkouts(tmp_path: Path) -> None:
    first = part("print('orders: 2000')")
    run(first, "abc")
    before = page("", [first])
    assert "**passed** at abc" in before
    assert "- orders: 2000" in before
    (tmp_path / "some.json").unlink()
    assert page(before, [first]) == before


def test_page_says_which_parts_never_ran() -> None:
    assert "Not run yet." in page("", [part("")])


def test_tables_of_figures_are_read_with_what_was_wanted() -> None:
    assert list(proofs.rows(BENCH)) == [
        "first request: 0.5 s (wanted ≤ 2 s: yes)",
        "orders: 90/s (wanted ≥ 200/s: no)",
        "back-test: 20,000 events/s",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "161 passed in 11.33s",
        "===== 161 passed in 11.33s =====",
        "  - '=== 161 passed in 700.33s (0:11:40) ==='",
    ],
)
def test_totals_of_pytest_are_found_wherever_they_are_printed(line: str) -> None:
    assert list(proofs.pytest_totals(f"noise\n{line}\n")) == ["161 passed"]


def test_summary_of_repeated_checks_is_read() -> None:
    output = "noise\n\nSummary\n  passed  unit tests  40.0  41.0 s\n"
    assert list(proofs.summary(output)) == ["passed  unit tests  40.0  41.0 s"]


def test_every_scenario_that_make_test_leaves_out_is_a_part() -> None:
    names = {part.name for part in prove.PARTS}
    assert {"ubuntu", "vm", "operations"} <= names
    for scenario in ("ubuntu", "vm", "operations"):
        assert (ROOT / "molecule" / scenario).is_dir()


def test_property_tests_are_found() -> None:
    (properties,) = (part for part in prove.PARTS if part.name == "properties")
    files = [it for it in properties.command if it.startswith("tests/")]
    assert len(files) > 5
    assert all((ROOT / file).is_file() for file in files)


def test_names_of_parts_are_unique() -> None:
    names = [part.name for part in prove.PARTS]
    assert len(set(names)) == len(names)


def test_proof_names_a_commit_so_changes_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.com"]
    assert shutil.which("git")
    shell.output(["git", "init", "-q", str(tmp_path)])
    (tmp_path / "code.py").write_text("1\n")
    shell.output([*git, "add", "-A"])
    shell.output([*git, "commit", "-qm", "code"])
    monkeypatch.setattr(prove, "ROOT", tmp_path)
    before = prove._commit()  # noqa: SLF001
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "proofs.md").write_text("a page\n")
    assert prove._commit() == before  # noqa: SLF001
    (tmp_path / "code.py").write_text("2\n")
    with pytest.raises(Trouble, match="has changes"):
        prove._commit()  # noqa: SLF001
