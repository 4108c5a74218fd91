"""Names of the strategy interface that are deprecated and go in release 0.2.0."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from algosat.domain.orders import EventKind, PendingRequest
from algosat.strategies import base
from algosat.strategies.base import State, Strategy, StrategyContext
from algosat.strategies.parameters import Parameters
from tests.app.builders import order_after
from tests.app.strategies.fakes import FakeContext

PARAMETERS = Parameters(symbols=("ALPHA-EQ",))
OTHER = Parameters(symbols=("ALPHA-EQ",), bar_seconds=300)


class Old(Strategy[Parameters]):
    """Strategy that overrides the deprecated name of `migrate_state`."""

    parameters_model = Parameters

    @classmethod
    def carry_over(cls, state: State, before: Parameters, now: Parameters) -> State:
        return {**state, "default": super().carry_over(state, before, now)}


def test_floor_is_an_alias_of_strategy_context() -> None:
    with pytest.warns(DeprecationWarning, match=r"0\.2\.0: use StrategyContext"):
        from algosat.strategies.base import Floor

    assert Floor is StrategyContext


def test_unknown_name_of_base_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Ceiling"):
        base.__getattr__("Ceiling")


def test_floor_of_a_strategy_is_its_context() -> None:
    context = FakeContext()
    with pytest.warns(DeprecationWarning, match="use context"):
        assert Strategy(PARAMETERS, context, {}).floor is context


def test_intent_of_an_order_is_its_terms() -> None:
    order = order_after(EventKind.SUBMITTING)
    with pytest.warns(DeprecationWarning, match="use terms"):
        assert order.intent is order.terms


def test_overlay_of_an_order_is_its_pending_request() -> None:
    order = order_after(EventKind.SUBMITTING, EventKind.ACCEPTED, EventKind.CANCEL_REQUESTED)
    with pytest.warns(DeprecationWarning, match="use pending"):
        assert order.overlay is order.pending is PendingRequest.PENDING_CANCEL


def test_overridden_carry_over_migrates_the_state() -> None:
    with pytest.warns(DeprecationWarning, match="use migrate_state"):
        assert Old.migrate_state({"kept": 1}, PARAMETERS, OTHER) == {"kept": 1, "default": {}}


def test_new_names_do_not_warn() -> None:
    assert Strategy.migrate_state({"kept": 1}, PARAMETERS, PARAMETERS) == {"kept": 1}
    assert Strategy.migrate_state({"kept": 1}, PARAMETERS, OTHER) == {}


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("base", ("Strategy", "State")),
        ("bars", ("Bar",)),
        ("parameters", ("Parameters", "Quantity", "Symbol")),
    ],
)
def test_modules_of_the_interface_keep_their_paths(module: str, names: tuple[str, ...]) -> None:
    found: Any = importlib.import_module(f"algosat.strategies.{module}")
    assert all(hasattr(found, name) for name in names)
