"""README, CONTRIBUTING and docs/ name only files, verbs and commands that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import click
import pytest
from click.testing import CliRunner

from algosat.backtest.report.figures import ASSUMPTIONS
from algosat.cli import cli
from algosat.domain.alert_kinds import AlertKind
from tests.infra.rendering import ROLES
from tools import sample_prices
from tools.paths import ROOT

PAGES: Final = sorted(
    file
    for pattern in ("*.md", "docs/**/*.md", "molecule/**/*.md", "tests/**/*.md")
    for file in ROOT.glob(pattern)
)
IDS: Final = [str(page.relative_to(ROOT)) for page in PAGES]
SAMPLES: Final = ROOT / "docs" / "samples"
MOST_WORDS: Final = 40

FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN: Final = re.compile(r"`([^`]+)`")
LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)
TOPS: Final = "app|docs|inventories|molecule|playbooks|roles|templates|tests|tools"
PATH: Final = re.compile(rf"(?<![\w/.])(?:{TOPS})/[\w.*/+-]*")
# What the text itself fills in, or what a run makes.
PLACEHOLDER: Final = re.compile(r"NAME|ENV|FILE|AREA|inventories/(local|mine|production|staging)\b")
VERB: Final = re.compile(r"\bmake ([a-z][a-z-]*)")
VARIABLE: Final = re.compile(rf"(?:{'|'.join(ROLES)})_[a-z0-9_]*[a-z0-9]")
# Roles of other projects, and rules of scanners.
FOREIGN: Final = re.compile(r"_hardening$|^sysctl_(fs|kernel|net)_")
# Written with a prefix that the role is given.
UNPREFIXED: Final = {"algosat_certificate_expiry_timestamp_seconds", "algosat_certificate_self_signed"}
COMMAND: Final = re.compile(r"(?:^|[/ ])algosat((?: [a-z-]+){1,2})", re.MULTILINE)


def code_of(page: Path) -> Iterator[str]:
    """Return what stands between backticks: blocks and spans."""
    text = page.read_text()
    yield from (block for _, block in FENCE.findall(text))
    yield from SPAN.findall(FENCE.sub("", text))


def slug(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def blocks(page: Path, language: str) -> list[str]:
    return [block for name, block in FENCE.findall(page.read_text()) if name == language]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_each_path_of_the_repository_exists(page: Path) -> None:
    paths = {path.rstrip("./") for code in code_of(page) for path in PATH.findall(code)}
    missing = [it for it in sorted(paths) if not PLACEHOLDER.search(it) and not any(ROOT.glob(it))]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_each_module_of_the_package_exists(page: Path) -> None:
    modules = {
        it for code in code_of(page) for it in re.findall(r"(?<![\w/.*])[a-z_]+/[a-z_/]*[a-z_]+\.py\b", code)
    }
    package = ROOT / "app" / "algosat"
    missing = [
        it
        for it in sorted(modules)
        if not PLACEHOLDER.search(it) and not (package / it).exists() and not (ROOT / it).exists()
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_each_make_verb_exists(page: Path) -> None:
    verbs = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {verb for code in code_of(page) for verb in VERB.findall(code)} - verbs == set()


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_each_command_line_command_exists(page: Path) -> None:
    named = {tuple(words.split()) for code in code_of(page) for words in COMMAND.findall(code)}
    unknown = [words for words in sorted(named) if not is_command(words)]
    assert unknown == []


def is_command(words: tuple[str, ...]) -> bool:
    context = click.Context(cli)
    command = cli.get_command(context, words[0])
    if not isinstance(command, click.Group):
        return command is not None
    return len(words) == 1 or command.get_command(context, words[1]) is not None


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_each_role_variable_and_metric_exists(page: Path) -> None:
    named = {code for code in code_of(page) if VARIABLE.fullmatch(code) and not FOREIGN.search(code)}
    assert named - known_names() == set()


@cache
def known_names() -> set[str]:
    """Return the words of the roles' specs, of the shared variables, and of what writes metrics."""
    patterns = ("roles/*/meta/*.yml", "playbooks/group_vars/all/*.yml", "playbooks/*.yml", "roles/**/*.j2")
    files = [
        file
        for pattern in (*patterns, "templates/**/*.j2", "app/algosat/monitoring/*.py")
        for file in ROOT.glob(pattern)
    ]
    return {word for file in files for word in re.findall(r"\w+", file.read_text())} | UNPREFIXED


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_each_relative_link_resolves(page: Path) -> None:
    broken = []
    for target in LINK.findall(FENCE.sub("", page.read_text())):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        if not file.exists() or (anchor and anchor not in map(slug, HEADING.findall(file.read_text()))):
            broken.append(target)
    assert broken == []


def test_glossary_has_at_most_forty_words_each_once() -> None:
    words = re.findall(r"^\| \*\*(.+?)\*\* \|", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
    assert 0 < len(words) <= MOST_WORDS
    assert len(words) == len(set(words))


def test_index_lists_every_decision() -> None:
    directory = ROOT / "docs" / "decisions"
    listed = LINK.findall((directory / "README.md").read_text())
    assert listed == sorted(file.name for file in directory.glob("0*.md"))


def test_sample_prices_are_what_their_program_writes() -> None:
    assert sample_prices.FILE.read_text().splitlines() == list(sample_prices.lines())


def test_strategy_of_the_guide_is_the_sample_file() -> None:
    (code,) = blocks(ROOT / "docs" / "strategies.md", "python")
    assert code == (SAMPLES / "buy_the_dip.py").read_text()


def test_runbook_has_an_entry_for_each_component_of_health() -> None:
    checks = re.findall(r'Check\("(\w+)"', (ROOT / "app" / "algosat" / "health_checks.py").read_text())
    entries = re.findall(r"^### (\w+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    assert entries == checks


def test_runbook_has_an_entry_for_each_kind_of_alert() -> None:
    text = (ROOT / "docs" / "runbook.md").read_text()
    (section,) = re.findall(r"^## Alerts$(.+?)^## ", text, re.MULTILINE | re.DOTALL)
    assert re.findall(r"^\| `([a-z_.]+)` \|", section, re.MULTILINE) == [kind.value for kind in AlertKind]


def test_guide_lists_the_assumptions_of_the_report() -> None:
    text = " ".join((ROOT / "docs" / "strategies.md").read_text().split())
    assert [it for it in ASSUMPTIONS if f"- {it}" not in text] == []


def test_guide_shows_what_its_back_test_prints(tmp_path: Path) -> None:
    """All but the last two lines, which have the speed and the directory."""
    (shown, *_) = [it for it in blocks(ROOT / "docs" / "strategies.md", "") if "profit after fees" in it]
    printed = backtest(f"{SAMPLES / 'buy_the_dip.py'}:BuyTheDip", tmp_path, "--market", "exchange")
    assert printed.splitlines()[:-2] == shown.splitlines()[:-2]


@pytest.mark.parametrize("strategy", ["moving-average-crossover", f"{SAMPLES / 'buy_the_dip.py'}:BuyTheDip"])
def test_strategy_of_the_documents_runs_on_the_sample_prices(strategy: str, tmp_path: Path) -> None:
    assert "'filled'" in backtest(strategy, tmp_path)
    assert (tmp_path / "report.html").exists()


def backtest(strategy: str, out: Path, *options: str) -> str:
    parameters = "{symbols: [ALPHA-EQ], quantity: 10}"
    arguments = ["backtest", strategy, "--data", str(sample_prices.FILE), "--params", parameters, *options]
    return CliRunner().invoke(cli, [*arguments, "--out", str(out)], catch_exceptions=False).output
