from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from algosat.backtest.report.equity_curve import Drawdown, EquityCurve
from tests.app.strategies.fakes import MORNING


def curve_of(*equities: int, exposure: int = 0) -> EquityCurve:
    curve = EquityCurve()
    for minute, equity in enumerate(equities):
        curve.add(
            MORNING + timedelta(minutes=minute), Decimal(equity), Decimal(exposure if minute % 2 else 0)
        )
    return curve


def minute(number: int | None) -> object:
    return None if number is None else MORNING + timedelta(minutes=number)


def drawdown_of(*equities: int) -> Drawdown:
    worst = curve_of(*equities).worst()
    assert worst is not None
    return worst


def test_drawdown_is_measured_from_the_peak_before_it() -> None:
    worst = drawdown_of(100, 120, 110, 90, 130, 125)
    assert (worst.amount, worst.share) == (Decimal(30), Decimal("0.25"))
    assert (worst.peak, worst.bottom, worst.recovered) == (minute(1), minute(3), minute(4))


def test_drawdown_that_was_not_recovered_has_no_end() -> None:
    assert drawdown_of(100, 90, 95).recovered is None


def test_first_sample_can_be_the_peak() -> None:
    worst = drawdown_of(100, 99)
    assert (worst.peak, worst.amount) == (minute(0), Decimal(1))


def test_equity_that_never_falls_has_no_drawdown() -> None:
    assert curve_of(100, 100, 105).worst() is None
    assert curve_of().worst() is None


def test_exposure_is_averaged_over_all_samples() -> None:
    curve = curve_of(1, 1, 1, 1, exposure=50)
    assert (curve.mean_exposure(), curve.most_exposure()) == (Decimal(25), Decimal(50))
    assert curve.share_invested() == Decimal("0.5")
