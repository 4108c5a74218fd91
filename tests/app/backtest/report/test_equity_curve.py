from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from algosat.backtest.report.equity_curve import Curve, Drawdown
from tests.app.strategies.fakes import MORNING


def curve_of(*worth: int, exposure: int = 0) -> Curve:
    curve = Curve()
    for minute, equity in enumerate(worth):
        curve.add(
            MORNING + timedelta(minutes=minute), Decimal(equity), Decimal(exposure if minute % 2 else 0)
        )
    return curve


def minute(number: int | None) -> object:
    return None if number is None else MORNING + timedelta(minutes=number)


def drawdown_of(*worth: int) -> Drawdown:
    worst = curve_of(*worth).worst()
    assert worst is not None
    return worst


def test_the_worst_fall_is_measured_from_the_height_before_it() -> None:
    worst = drawdown_of(100, 120, 110, 90, 130, 125)
    assert (worst.amount, worst.share) == (Decimal(30), Decimal("0.25"))
    assert (worst.fell_from, worst.bottom, worst.recovered) == (minute(1), minute(3), minute(4))


def test_a_fall_that_was_not_made_good_has_no_end() -> None:
    assert drawdown_of(100, 90, 95).recovered is None


def test_the_first_sample_can_be_the_height() -> None:
    worst = drawdown_of(100, 99)
    assert (worst.fell_from, worst.amount) == (minute(0), Decimal(1))


def test_what_never_falls_has_no_drawdown() -> None:
    assert curve_of(100, 100, 105).worst() is None
    assert curve_of().worst() is None


def test_exposure_is_averaged_over_all_samples() -> None:
    curve = curve_of(1, 1, 1, 1, exposure=50)
    assert (curve.mean_exposure(), curve.most_exposure()) == (Decimal(25), Decimal(50))
    assert curve.share_invested() == Decimal("0.5")
