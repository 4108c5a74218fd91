"""The page of the metrics is what `make docs` writes."""

from tools.metric_docs import PAGE, text


def test_page_states_every_metric() -> None:
    assert PAGE.read_text() == text(), "run `make docs`"
    for name in ("algosat_orders_total", "algosat_order_stage_seconds", "algosat_component_ok"):
        assert text().count(f"`{name}`") == 1
