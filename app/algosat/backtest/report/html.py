"""The HTML page of a report, self-contained: no scripts, no other files, light or dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import Any, Final

from algosat.backtest.report import charts
from algosat.backtest.report.charts import ChartMark
from algosat.backtest.report.figures import ASSUMPTIONS, BacktestReport, moment, plain, trip_data

_MAX_ROWS: Final = 500
_MAX_SYMBOLS: Final = 6
_MAX_MARKS: Final = 400  # more would hide the price


def page(report: BacktestReport) -> str:
    """Return the whole page."""
    about, result = report.about, report.result
    title = f"Back-test of {about['class']}"
    style = files(__package__).joinpath("page.css").read_text("utf-8")
    return "".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(title)}</title><style>{style}</style></head><body><main>",
            f"<h1>{escape(title)}</h1><p class='under'>{_span(about)}</p>",
            _figures(result),
            _charts(report),
            _section("Result", _pairs(result)),
            _section(f"Round trips ({len(report.trips)})", _trips(report)),
            _section(f"Days ({len(report.days)})", _days(report)),
            _section("Run", _pairs(about)),
            _section("Assumptions", _list(ASSUMPTIONS)),
            "</main></body></html>\n",
        )
    )


def _span(about: dict[str, Any]) -> str:
    data = about["data"]
    return escape(
        f"{', '.join(about['parameters']['symbols'])} · {data['first'][:16]} to {data['last'][:16]}"
    )


def _figures(result: dict[str, Any]) -> str:
    drawdown, trips = result["drawdown"], result["round_trips"]
    figures = (
        ("Profit after fees", result["profit"], f"{result['profit_percent']} % of capital"),
        ("Fees", result["fees"]["total"], f"profit before fees {result['profit_before_fees']}"),
        ("Maximum drawdown", drawdown["amount"], f"{drawdown['percent']} %"),
        ("Round trips", str(trips["number"]), f"{trips['won_percent'] or '–'} % won"),
        ("Turnover", result["turnover"]["value"], f"{result['turnover']['times_capital']} × capital"),
        ("Buy and hold", f"{result['held_throughout_percent']} %", "before costs"),
    )
    return (
        '<div class="figures">'
        + "".join(
            f"<div><span>{escape(name)}</span><strong{_tone(value)}>{_grouped(value)}</strong>"
            f"<small>{escape(_grouped(note))}</small></div>"
            for name, value, note in figures
        )
        + "</div>"
    )


def _charts(report: BacktestReport) -> str:
    points = report.outcome.curve.points
    drawn = [
        charts.line("Equity", [(point.at, point.equity) for point in points]),
        charts.area("Drawdown", [(point.at, point.drawdown) for point in points], downwards=True),
        charts.area("Exposure", [(point.at, point.exposure) for point in points]),
    ]
    closes = report.outcome.closes
    for symbol in list(closes)[:_MAX_SYMBOLS]:
        marks = _marks(report, symbol)
        note = "" if len(marks) <= _MAX_MARKS else f", the first {_MAX_MARKS} of {len(marks)} trades"
        drawn.append(charts.line(f"{symbol}{note}", closes[symbol], marks=marks[:_MAX_MARKS]))
    return "".join(drawn)


def _marks(report: BacktestReport, symbol: str) -> list[ChartMark]:
    return [
        ChartMark(
            fill.at,
            fill.price,
            fill.side.value,
            f"{fill.side.value} {plain(fill.quantity)} at {plain(fill.price)}, {moment(fill.at)[:16]}",
        )
        for fill in report.outcome.ledger.fills
        if fill.symbol == symbol
    ]


def _trips(report: BacktestReport) -> str:
    rows = [trip_data(trip) for trip in report.trips[:_MAX_ROWS]]
    if not rows:
        return "<p>No round trip was completed.</p>"
    more = len(report.trips) - len(rows)
    rest = f"<p>{more} more are in round_trips.csv.</p>" if more else ""
    return _table([name.replace("_", " ") for name in rows[0]], [_short(row) for row in rows]) + rest


def _short(row: dict[str, str]) -> list[str]:
    return [value[:16].replace("T", " ") if name.endswith("_at") else value for name, value in row.items()]


def _days(report: BacktestReport) -> str:
    shown = report.days[-_MAX_ROWS:]
    return _table(
        ["day", "equity", "profit"], [[each["day"], each["equity"], each["profit"]] for each in shown]
    )


def _pairs(values: dict[str, Any]) -> str:
    rows = (
        f"<div><dt>{escape(name)}</dt><dd>{escape(_grouped(value))}</dd></div>"
        for name, value in _rows(values)
    )
    return f"<dl>{''.join(rows)}</dl>"


def _rows(values: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    for name, value in values.items():
        label = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            yield from _rows(value, f"{label} · ")
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            yield label, "–" if shown is None else str(shown)


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def _list(items: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(each)}</li>" for each in items) + "</ul>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    first = rows[0] if rows else ()
    names = "<tr>" + "".join(_head(*each) for each in zip(head, first, strict=False)) + "</tr>"
    body = "".join("<tr>" + "".join(_cell(value) for value in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table>{names}{body}</table></div>'


def _head(name: str, first: str) -> str:
    return f"<th{' class=number' if _is_number(first) else ''}>{escape(name)}</th>"


def _cell(value: str) -> str:
    return f"<td{' class=number' if _is_number(value) else ''}>{escape(_grouped(value))}</td>"


def _grouped(value: str) -> str:
    """Return the text with thousands separators in its amounts."""
    return " ".join(_group(word) for word in value.split(" "))


def _group(word: str) -> str:
    if not _is_number(word) or "." not in word:
        return word
    whole, _, places = word.partition(".")
    return f"{int(whole):,}.{places}" if int(whole) else word


def _is_number(value: str) -> bool:
    return value.removeprefix("-").replace(".", "", 1).isdigit()


def _tone(value: str) -> str:
    return " class=loss" if value.startswith("-") else ""
