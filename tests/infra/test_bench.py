"""The benchmark tools, at small sizes."""

from __future__ import annotations

from pathlib import Path

import pytest

from algosat.store.verify.verify import verify
from tests.infra.rendering import described
from tools import containers, ssh
from tools.bench import backtest
from tools.bench.fill import EVENTS_AN_ORDER, Filler
from tools.bench.load import Load, request
from tools.bench.provision import inventory, run
from tools.bench.report import Figure, in_turns, published, table
from tools.containers import Machine
from tools.paths import ROOT
from tools.playbook import Outcome


def test_filled_store_is_consistent(tmp_path: Path) -> None:
    filler = Filler(tmp_path / "filled.db")
    filler.grow_to(7)
    database = filler.grow_to(20)
    with database.read() as connection:
        report = verify(connection)
    database.close()
    assert report.findings == []
    assert (report.orders, report.trades, report.events) == (20, 20, 20 * EVENTS_AN_ORDER)


def test_table_marks_met_and_missed_targets() -> None:
    figures = [
        Figure("a", "1 ms", "≤ 2 ms", True),
        Figure("b", "3 ms", "≤ 2 ms", False),
        Figure("c", "4", ""),
    ]
    assert table(figures).splitlines()[2:] == [
        "| a | 1 ms | ≤ 2 ms | yes |",
        "| b | 3 ms | ≤ 2 ms | **no** |",
        "| c | 4 |  |  |",
    ]


def test_both_tasks_run_alternately() -> None:
    done: list[str] = []
    in_turns((lambda: done.append("first"), lambda: done.append("second")), 2)
    assert done == ["first", "second"] * 3


def test_new_figures_replace_the_previous_ones() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text()
    once = published(page, "figures of today")
    assert "figures of today" in once
    assert published(once, "figures of tomorrow") == once.replace("of today", "of tomorrow")


def test_page_without_a_section_for_the_run_is_rejected() -> None:
    with pytest.raises(ValueError, match="has no lines"):
        published("# Benchmarks", "figures")


def test_request_has_the_content_length() -> None:
    head, _, body = request("POST", "/orders", {"symbol": "X"}).partition(b"\r\n\r\n")
    assert head.startswith(b"POST /orders HTTP/1.1\r\n")
    assert f"Content-Length: {len(body)}".encode() in head


def test_load_with_unexpected_statuses_is_an_error() -> None:
    load = Load(seconds=1.0)
    load.statuses[201] += 3
    assert load.require(201).rate == 3
    load.statuses[429] += 1
    with pytest.raises(SystemExit, match="429"):
        load.require(201)


def test_backtest_benchmark_reports_its_event_rate() -> None:
    assert "events/s" in backtest.figure(50).measured


@pytest.mark.parametrize(("seconds", "met"), [(40.0, True), (61.0, False), (55.0, False)])
def test_run_is_measured_in_total_and_per_task(seconds: float, met: bool) -> None:
    figure = run("again", Outcome(seconds, {"host": {"ok": 80, "skipped": 20, "changed": 0}}), 60, 0.5)
    assert figure.measured == f"100 tasks, {seconds:.1f} s, {seconds / 100:.2f} s a task"
    assert figure.met is met


def test_inventory_of_the_benchmark_has_its_own_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "gateway", lambda: "192.0.2.1")
    monkeypatch.setattr(ssh, "public_key", lambda: "ssh-ed25519 AAAA")
    file = inventory(Machine("bench", "debian-12", 2200, 8000, 8443), tmp_path)
    server = described(str(file), "bench")
    assert server.value("algosat_operator_addresses") == ["192.0.2.1/32"]
    assert server.value("algosat_environment") == "development"
