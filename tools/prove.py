"""`make prove`: what `make test` proves at small sizes, at full size, part by part. Writes docs/proofs.md.

Each part keeps its result and its log in .local/prove. A part that has passed at this commit is skipped, so
that an interrupted run continues where it ended. A part that is named runs in any case.

python -m tools.prove [--list] [PART...]
"""

import argparse

from tools import apt, checks, local_inventory, postgresql, shell
from tools.paths import ROOT
from tools.proofs import FAILED, Part, is_done, lines, load, page, pytest_totals, rows, run, summary
from tools.say import Trouble, finish, note

PAGE = ROOT / "docs" / "proofs.md"
_PYTEST = ("pytest", "--numprocesses=auto")
_MOLECULE = ("molecule", "test", "--no-command-borders", "--scenario-name")


def _no_server_of_ours() -> None:
    if local_inventory.DIRECTORY.exists():
        raise Trouble("the audit needs a server of its own, and `make up` has made one", "make down")


def _install_containers() -> None:
    apt.ensure_commands(*checks.CONTAINERS)


def _on_the_trial_server(verbs: str) -> tuple[str, ...]:
    """Return the command that makes a trial server, runs verbs of the Makefile on it, and removes it."""
    return ("sh", "-c", f"make up {verbs}; code=$?; make down; exit $code")


def _audited(distro: str) -> Part:
    return Part(
        f"audit-{distro}",
        f"{distro} as lynis, CIS, ssh-audit, testssl and systemd grade it",
        _on_the_trial_server(f"audit DISTRO={distro}"),
        rows,
        prepare=_no_server_of_ours,
    )


def _scenario(name: str, proves: str, **env: str) -> Part:
    return Part(name, proves, (*_MOLECULE, name), pytest_totals, env=env, prepare=_install_containers)


def _property_tests() -> tuple[str, ...]:
    """Return the files of tests that try examples of Hypothesis."""
    files = sorted((ROOT / "tests" / "app").rglob("test_*.py"))
    return tuple(str(it.relative_to(ROOT)) for it in files if "from hypothesis" in it.read_text())


PARTS = (
    Part(
        "chaos",
        "2,000 orders under every fault and 200 kills: none lost, doubled or beyond a limit; ends flat",
        ("python", "-m", "tests.chaos", "--orders", "2000", "--kills", "200"),
        lines("^seed", "^orders", "^requests repeated", "^processes killed", "^findings"),
    ),
    Part(
        "chaos-accounts",
        "the same on two accounts, with the faults on one: the other's orders are not delayed",
        ("python", "-m", "tests.chaos", "--orders", "2000", "--kills", "200", "--accounts", "2"),
        lines("^seed", "^orders", "^requests repeated", "^processes killed", "^findings", "95th percentile"),
    ),
    Part(
        "properties",
        "every property of the domain, the exchange and the store, with 40 times as many random examples",
        (*_PYTEST, *_property_tests()),
        pytest_totals,
        env={"THOROUGH": "40"},
    ),
    Part(
        "walks",
        "200 random walks of orders, faults, halts and restarts: broker and book agree at the end",
        (*_PYTEST, "tests/app/engine/test_walks.py"),
        pytest_totals,
        env={"THOROUGH": "25"},
    ),
    Part(
        "closing",
        "2,000 random walks into every state: closing everything ends flat, and no position ever flips",
        (*_PYTEST, "tests/app/engine/test_closing_walks.py"),
        pytest_totals,
        env={"THOROUGH": "20"},
    ),
    Part(
        "postgresql",
        "all tests of the application on PostgreSQL, but for those of SQLite's own",
        (*_PYTEST, "--store=postgresql", "-m", "not sqlite", "tests/app"),
        pytest_totals,
        prepare=postgresql.ensure,
    ),
    Part(
        "screening",
        "95 % of 300 attacks from the files of sqlmap and wapiti have a score, and ordinary texts have none",
        ("python", "-m", "tools.payloads"),
        lines(r"^.+: \d+"),
    ),
    Part(
        "drill",
        "each fault of a list on a server under load: a person is told, exits get through, nothing is lost",
        _on_the_trial_server("drill"),
        lines(r"^  .+: (passed|.*)$", "^findings"),
        prepare=_no_server_of_ours,
    ),
    Part("bench", "every figure of docs/benchmarks.md", ("python", "-m", "tools.bench"), rows),
    Part(
        "bench-provision",
        "tasks and seconds of a first run and of one without changes",
        ("python", "-m", "tools.bench.provision"),
        rows,
    ),
    _audited("debian-12"),
    _audited("debian-13"),
    Part(
        "repeated",
        "the checks that need no machine are dependable: green three times running",
        ("python", "-m", "tools.checks", "lint", "unit", "slow", "chaos", "--times", "3"),
        summary,
    ),
    _scenario("operations", "every test of operations on Debian 12 and on Debian 13", OPERATIONS="all"),
    Part(
        "alternative",
        "check mode with other values than the defaults, on machines that have nothing yet",
        ("molecule", "check", "--no-command-borders", "--scenario-name=alternative"),
        lines(r"^alternative-\S+ +: ok="),
        prepare=_install_containers,
    ),
    _scenario("ubuntu", "the whole site on Ubuntu 24.04 and 26.04"),
    _scenario("vm", "kernel settings, restarts and power cuts on a virtual machine"),
)


def main() -> int:
    """Run the named parts, or all that have not passed at this commit, and write the page after each."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.prove",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(part.name for part in PARTS))
    parser.add_argument("--list", action="store_true", help="print the parts and their last results")
    asked = parser.parse_args()
    if asked.list:
        note("\n".join(f"{part.name:<16} {_last(part)}" for part in PARTS))
        return 0
    if unknown := set(asked.parts) - {part.name for part in PARTS}:
        raise Trouble(f"there is no part {', '.join(sorted(unknown))}", "make prove LIST=yes names them")
    commit = _commit()
    chosen = asked.parts or [part.name for part in PARTS if not is_done(part, commit)]
    for part in (part for part in PARTS if part.name in chosen):
        note(f"==> {part.name}: {part.proves}")
        outcome = run(part, commit)
        for line in (f"{outcome.result} in {outcome.seconds} s", *outcome.figures):
            note(f"    {line}")
        PAGE.write_text(page(PAGE.read_text() if PAGE.exists() else "", PARTS))
    failed = [part.name for part in PARTS if (last := load(part)) and last.result == FAILED]
    note(f"failed: {', '.join(failed)}" if failed else "no part has failed")
    return 1 if failed else 0


def _last(part: Part) -> str:
    last = load(part)
    return f"{last.result} at {last.commit}, {last.at}" if last else "not run in this checkout"


def _commit() -> str:
    """Return the last commit that changed anything but documents.

    Raises:
        Trouble: something is not committed.
    """
    code = ("--", ".", ":(exclude)docs", ":(exclude)*.md")
    if shell.output(["git", "-C", str(ROOT), "status", "--porcelain", *code]):
        raise Trouble("a proof names a commit, and this checkout has changes", "commit them first")
    return shell.output(["git", "-C", str(ROOT), "log", "-1", "--format=%h", *code]).strip()


if __name__ == "__main__":
    finish(main)
