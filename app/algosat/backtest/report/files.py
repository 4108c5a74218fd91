"""The files of a report: report.json, trades.csv, round_trips.csv, equity.csv and report.html."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from algosat.backtest.report.figures import BacktestReport, moment, money, trip_data
from algosat.backtest.report.html import page

_TRADES = ("at", "id", "order", "symbol", "side", "quantity", "price", "realised", "fees", "position")
_TRIPS = (
    "symbol", "side", "opened_at", "closed_at", "quantity",
    "entry_price", "exit_price", "realised", "fees", "result",
)  # fmt: skip
_EQUITY = ("at", "equity", "exposure", "drawdown")


def write(report: BacktestReport, directory: Path) -> list[Path]:
    """Write the files of a report, replacing older ones. Returns their paths, report.html last."""
    data = report.data()
    points = (
        {
            "at": moment(point.at),
            "equity": money(point.equity),
            "exposure": money(point.exposure),
            "drawdown": money(point.drawdown),
        }
        for point in report.outcome.curve.points
    )
    contents = {
        "report.json": as_json(data),
        "trades.csv": _csv(_TRADES, data["trades"]),
        "round_trips.csv": _csv(_TRIPS, map(trip_data, report.trips)),
        "equity.csv": _csv(_EQUITY, points),
        "report.html": page(report).encode(),
    }
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (directory / name).write_bytes(content)
    return [directory / name for name in contents]


def as_json(data: dict[str, Any]) -> bytes:
    """Return the bytes of report.json."""
    return orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _csv(names: Sequence[str], rows: Iterable[Mapping[str, str]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
