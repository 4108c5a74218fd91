"""The metrics in Prometheus' format. prometheus-flask-exporter sums them over all processes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_flask_exporter import PrometheusMetrics

from algosat.monitoring.metrics import REGISTRY
from algosat.monitoring.multiprocess import read_consistently

_END: Final = "# EOF\n"  # of the OpenMetrics form


def generate(accept: str, collectors: Iterable[Collector]) -> tuple[str, str]:
    """Return the text and its content type: what the processes count, and the metrics of the collectors."""
    own, content_type = read_consistently(lambda: _exporter().generate_metrics(accept or None))
    encode, _ = choose_encoder(accept)
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    return own.removesuffix(_END) + encode(registry).decode(), content_type


@cache
def _exporter() -> PrometheusMetrics:
    # The hooks and default metrics of the exporter stay off: routes count through bound children.
    return PrometheusMetrics(app=None, path=None, export_defaults=False, registry=REGISTRY)
