"""`algosat backtest`: run a strategy on recorded prices, without a server, settings or a store."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from algosat.backtest.run import BacktestResult


class _Amount(click.ParamType[Decimal]):
    name = "amount"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        try:
            amount = Decimal(value)
        except InvalidOperation:
            amount = Decimal(0)
        if not amount.is_finite() or amount <= 0:
            self.fail(f"{value!r} is not an amount above 0", param, ctx)
        return amount


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("strategy", metavar="CLASS")
@click.option("--data", type=_FILE, required=True, help="CSV of bars or ticks, in order of time.")
@click.option("--params", required=True, help="Parameters of the strategy as YAML or JSON, or @FILE.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Directory for report.json, report.html and the CSV files.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Seed for what the recording lacks.")
@click.option("--capital", type=_Amount(), default="1000000", show_default=True, help="Cash at the start.")
@click.option(
    "--market",
    default="always",
    show_default=True,
    help="Market hours: always, exchange (its calendar), or two times such as 09:15-15:30.",
)
@click.option(
    "--calendar",
    type=_FILE,
    help="With --market exchange: days to add to its calendar, in the format of `algosat_calendar`.",
)
@click.option("--limits", type=_FILE, help="Risk limits: algosat.yaml, or its `risk` section.")
@click.option("--brokerage", default="zerodha", show_default=True, help="Name of the brokerage plan.")
@click.option(
    "--exchange",
    type=click.Choice(["nse", "bse"]),
    default="nse",
    show_default=True,
    help="Exchange whose transaction charges apply.",
)
@click.option(
    "--charges-of",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Apply the taxes and charges of this day to all trades, instead of each trade's own day.",
)
@click.option(
    "--square-off-minutes",
    type=click.IntRange(0, 240),
    default=15,
    show_default=True,
    help="Minutes before the close at which intraday positions are closed; 0: never.",
)
@click.option(
    "--flatten-on-daily-loss",
    is_flag=True,
    help="Close all positions when the daily loss limit is reached, as "
    "algosat_engine_flatten_on_daily_loss does.",
)
@click.option(
    "--interval",
    type=click.IntRange(1, 86_400),
    help="Length of a recorded bar in seconds, if it cannot be found from the recording.",
)
def command(
    strategy: str,
    data: Path,
    params: str,
    out: Path,
    seed: int,
    capital: Decimal,
    market: str,
    calendar: Path | None,
    limits: Path | None,
    brokerage: str,
    exchange: str,
    charges_of: datetime | None,
    square_off_minutes: int,
    flatten_on_daily_loss: bool,
    interval: int | None,
) -> None:
    """Run CLASS on the recorded prices of a CSV file, through the gate and the simulated exchange.

    CLASS is a name from `algosat strategy classes`, or FILE.py:Class. The CSV file has the columns
    at,symbol,open,high,low,close,volume (bars) or at,symbol,last and any of
    bid,ask,bid_quantity,ask_quantity,volume (ticks). The same data, parameters and seed give the same
    report.json, byte for byte.
    """
    from algosat.backtest import limits as risk_limits
    from algosat.backtest import run
    from algosat.backtest.report import files
    from algosat.cli.strategy import parameters_from

    request = run.BacktestRequest(
        class_name=strategy,
        parameters=parameters_from(params),
        seed=seed,
        capital=capital,
        market=market,
        calendar="" if calendar is None else _text(calendar),
        limits=risk_limits.UNLIMITED if limits is None else risk_limits.read(limits),
        brokerage=brokerage,
        exchange=exchange,
        charges_of=_day(charges_of),
        square_off_minutes=square_off_minutes,
        flattens_on_daily_loss=flatten_on_daily_loss,
        interval=timedelta(seconds=interval) if interval else None,
    )
    finished = run.from_file(request, data)
    written = files.write(finished.report, out)
    _print_result(finished)
    click.echo(f"report: {written[-1]}")


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file} cannot be read: {error}") from error


def _day(at: datetime | None) -> date | None:
    return at.date() if at else None


def _print_result(finished: BacktestResult) -> None:
    result = finished.report.result
    trips, drawdown = result["round_trips"], result["drawdown"]
    click.echo(f"profit after fees: {result['profit']} ({result['profit_percent']} %)")
    click.echo(f"fees: {result['fees']['total']}, turnover: {result['turnover']['value']}")
    click.echo(f"maximum drawdown: {drawdown['amount']} ({drawdown['percent']} %)")
    click.echo(
        f"round trips: {trips['number']}, won: {trips['won']}; orders: {result['orders']['by_status']}"
    )
    if result["orders"]["denied"]:
        click.echo(f"denied by the gate: {result['orders']['denied']}")
    rate = f"{finished.events_per_second:,.0f} events/s"
    click.echo(f"{finished.events} events in {finished.seconds:.2f} s: {rate}")
