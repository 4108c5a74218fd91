"""The figures of a report: plain values, the same for the same run, in a fixed order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from algosat.backtest.report.round_trips import RoundTrip, round_trips
from algosat.backtest.simulation import SimulationOutcome
from algosat.domain.calendar import EXCHANGE_TIME
from algosat.domain.decimals import ZERO
from algosat.domain.fees import Charges
from algosat.domain.orders import Status

_PAISA: Final = Decimal("0.01")
_PLACES: Final = Decimal("0.0001")
_INSTANT: Final = timedelta(microseconds=1)

ASSUMPTIONS: Final = (
    "An order is executed at the first quote after the quote, or the bar, on which it was decided.",
    "A recorded bar becomes four trades: open, the extreme farther from the close, the other extreme, close.",
    "With market hours, the trades of a daily bar are spread over them.",
    "Bid, ask and displayed quantities that the recording lacks are generated around the last price.",
    "A resting order trades a share of the recorded volume, behind the orders that were there before it.",
    "The strategy's own trades do not move the recorded prices.",
    "A target of a bracket or an OCO pair is filled at the quote that reaches it.",
    "Charges are those of the day's contract note, without depository charges and interest.",
    "Positions open at the end are valued at the last price, without the cost of closing them.",
    "Drawdown and exposure are measured at the end of each bar.",
    "Parameters that fit the past by chance look like skill: a back-test promises nothing.",
)


@dataclass(frozen=True, slots=True)
class BacktestReport:
    """Everything a back-test reports."""

    about: dict[str, Any]  # class, parameters, data and terms of the run
    result: dict[str, Any]
    days: list[dict[str, Any]]  # equity and profit at the end of each trading day
    trips: Sequence[RoundTrip]
    outcome: SimulationOutcome

    def data(self) -> dict[str, Any]:
        """Return report.json as data: everything except the samples of the equity curve."""
        return {
            "about": self.about,
            "result": self.result,
            "assumptions": list(ASSUMPTIONS),
            "days": self.days,
            "round_trips": [trip_data(trip) for trip in self.trips],
            "trades": [
                {
                    "at": moment(fill.at),
                    "id": fill.trade_id,
                    "order": fill.order_id,
                    "symbol": fill.symbol,
                    "side": fill.side,
                    "quantity": plain(fill.quantity),
                    "price": plain(fill.price),
                    "realised": money(fill.after.realised - fill.before.realised),
                    "fees": money(fill.charges.total),
                    "position": plain(fill.after.quantity),
                }
                for fill in self.outcome.ledger.fills
            ],
        }


def report_of(outcome: SimulationOutcome, about: dict[str, Any]) -> BacktestReport:
    """Return the report of a run."""
    trips = round_trips(outcome.ledger.fills)
    return BacktestReport(about, _result(outcome, trips), _days(outcome), trips, outcome)


def _result(outcome: SimulationOutcome, trips: Sequence[RoundTrip]) -> dict[str, Any]:
    ledger, curve = outcome.ledger, outcome.curve
    equity = ledger.deposited + ledger.net_pnl(outcome.quotes)
    profit = equity - ledger.deposited
    turnover = sum((fill.value for fill in ledger.fills), ZERO)
    return {
        "capital": money(ledger.deposited),
        "equity": money(equity),
        "profit": money(profit),
        "profit_percent": percent(profit, ledger.deposited),
        "profit_before_fees": money(profit + ledger.fees),
        "realised": money(ledger.realised),
        "unrealised": money(ledger.unrealised(outcome.quotes)),
        "fees": {"total": money(ledger.fees), **_charges(outcome)},
        "other_fees": {name: plain(amount) for name, amount in sorted(ledger.other_fees.items())},
        "drawdown": _drawdown(outcome),
        "exposure": {
            "mean": money(curve.mean_exposure()),
            "most": money(curve.most_exposure()),
            "time_invested_percent": percent(curve.share_invested(), Decimal(1)),
        },
        "turnover": {"value": money(turnover), "times_capital": ratio(turnover, ledger.deposited)},
        "orders": _orders(outcome),
        "round_trips": _summary(trips),
        "held_throughout_percent": _buy_and_hold(outcome),
        "open_positions": {
            symbol: plain(position.quantity)
            for symbol, position in sorted(ledger.positions.items())
            if position.quantity
        },
    }


def _charges(outcome: SimulationOutcome) -> dict[str, str]:
    fills = outcome.ledger.fills
    return {
        field.name: money(sum((getattr(fill.charges, field.name) for fill in fills), ZERO))
        for field in fields(Charges)
    }


def _drawdown(outcome: SimulationOutcome) -> dict[str, Any]:
    worst = outcome.curve.worst()
    if worst is None:
        return {"amount": money(ZERO), "percent": percent(ZERO, Decimal(1))}
    return {
        "amount": money(worst.amount),
        "percent": percent(worst.share, Decimal(1)),
        "from": moment(worst.peak),
        "bottom": moment(worst.bottom),
        "recovered": moment(worst.recovered) if worst.recovered else None,
    }


def _orders(outcome: SimulationOutcome) -> dict[str, Any]:
    ended = Counter(order.status.value for order in outcome.ledger.orders.values())
    return {
        "placed": len(outcome.ledger.orders),
        "by_status": dict(sorted(ended.items())),
        "denied": dict(sorted((str(code), number) for code, number in outcome.denied.items())),
        "rejected": ended.get(Status.REJECTED.value, 0),
        "trades": len(outcome.ledger.fills),
    }


def _summary(trips: Sequence[RoundTrip]) -> dict[str, Any]:
    won = [trip.result for trip in trips if trip.result > 0]
    lost = [trip.result for trip in trips if trip.result <= 0]
    gains, losses = sum(won, ZERO), -sum(lost, ZERO)
    return {
        "number": len(trips),
        "won": len(won),
        "won_percent": percent(Decimal(len(won)), Decimal(len(trips))),
        "mean": money((gains - losses) / len(trips)) if trips else None,
        "mean_gain": money(gains / len(won)) if won else None,
        "mean_loss": money(losses / len(lost)) if lost else None,
        "best": money(max(trip.result for trip in trips)) if trips else None,
        "worst": money(min(trip.result for trip in trips)) if trips else None,
        "gains_to_losses": ratio(gains, losses),
    }


def _buy_and_hold(outcome: SimulationOutcome) -> str | None:
    """Return the percentage gain of equal parts in all symbols, bought at the first price, before costs."""
    growth = [
        outcome.quotes[symbol].last / first.last - 1 for symbol, first in sorted(outcome.firsts.items())
    ]
    return percent(sum(growth, ZERO), Decimal(len(growth)))


def _days(outcome: SimulationOutcome) -> list[dict[str, Any]]:
    """Return equity at the last sample of each of the venue's days, and the day's profit."""
    ends: dict[date, Decimal] = {}
    for point in outcome.curve.points:
        # A bar that ends at midnight belongs to the day before.
        ends[(point.at - _INSTANT).astimezone(outcome.zone).date()] = point.equity
    before, days = outcome.ledger.deposited, []
    for day, equity in ends.items():
        days.append({"day": str(day), "equity": money(equity), "profit": money(equity - before)})
        before = equity
    return days


def trip_data(trip: RoundTrip) -> dict[str, str]:
    """Return a round trip as JSON data."""
    return {
        "symbol": trip.symbol,
        "side": trip.side,
        "opened_at": moment(trip.opened_at),
        "closed_at": moment(trip.closed_at),
        "quantity": plain(trip.quantity),
        "entry_price": plain(trip.entry_price.quantize(_PLACES)),
        "exit_price": plain(trip.exit_price.quantize(_PLACES)),
        "realised": money(trip.realised),
        "fees": money(trip.fees),
        "result": money(trip.result),
    }


def money(amount: Decimal) -> str:
    """Return an amount, rounded to the paisa."""
    return format(amount.quantize(_PAISA), "f")


def plain(number: Decimal) -> str:
    """Return a number without an exponent."""
    return format(number, "f")


def percent(part: Decimal, whole: Decimal) -> str | None:
    """Return a part of a whole in percent, with two places; None if the whole is 0."""
    return None if not whole else format((100 * part / whole).quantize(_PAISA), "f")


def ratio(part: Decimal, whole: Decimal) -> str | None:
    """Return a part divided by a whole, with two places; None if the whole is 0."""
    return None if not whole else format((part / whole).quantize(_PAISA), "f")


def moment(at: datetime) -> str:
    """Return a time in exchange time, in ISO 8601."""
    return at.astimezone(EXCHANGE_TIME).isoformat()
