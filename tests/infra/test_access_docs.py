"""The table of routes in docs/security.md is what `make docs` writes."""

from __future__ import annotations

from algosat.api.all_routes import ROUTES
from tools.access_docs import PAGE, page, table


def test_page_states_the_access_of_every_route() -> None:
    text = PAGE.read_text()
    assert text == page(text), "run `make docs`"
    rows = "".join(table())
    assert all(f"| `{route.endpoint}` |" in rows for route in ROUTES)
    assert rows.count("\n|") == len(list(ROUTES)) + 2
