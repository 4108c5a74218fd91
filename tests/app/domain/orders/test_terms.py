from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from algosat.domain.orders import PRICES, ModifyRequest
from tests.app.builders import LIMIT


def test_prices_are_listed_by_the_names_of_their_fields() -> None:
    assert tuple(LIMIT.prices) == PRICES
    assert LIMIT.prices == {"limit_price": Decimal(100), "trigger_price": None, "protection_price": None}


def test_dearest_price_is_the_highest_given_or_the_minimum() -> None:
    terms = replace(LIMIT, trigger_price=Decimal(99), protection_price=Decimal(103))
    assert [terms.dearest(Decimal(at_least)) for at_least in (90, 105)] == [103, 105]


def test_dearest_price_without_any_price_is_the_minimum() -> None:
    assert replace(LIMIT, limit_price=None).dearest(Decimal(90)) == 90


def test_omitted_fields_of_a_modify_request_keep_their_values() -> None:
    change = ModifyRequest(quantity=Decimal(20)).of(LIMIT)
    assert change.applied_to(LIMIT) == replace(LIMIT, quantity=Decimal(20))
