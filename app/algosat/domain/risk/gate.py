"""The gate: every order passes it before it is stored as created."""

from __future__ import annotations

from dataclasses import replace

from algosat.domain import risk
from algosat.domain.market_protection import protection_price
from algosat.domain.orders import OrderTerms
from algosat.domain.risk import Denial, RiskSnapshot


def judge(terms: OrderTerms, snapshot: RiskSnapshot | Denial) -> tuple[OrderTerms, Denial | None]:
    """Return the terms with their protection price, and the denial if the order may not be placed.

    If the snapshot could not be read, `snapshot` is the denial to return.
    """
    if isinstance(snapshot, Denial):
        return terms, snapshot
    protected = replace(terms, protection_price=protection_price(terms, snapshot.instrument, snapshot.quote))
    return protected, risk.first_denial(protected, snapshot)
