"""The metrics in Prometheus' format. prometheus-flask-exporter sums them over all processes."""

from __future__ import annotations

from functools import cache
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_flask_exporter import PrometheusMetrics

from algosat.monitoring.metrics import REGISTRY
from algosat.monitoring.textfiles import Textfiles

_END: Final = "# EOF\n"  # of the OpenMetrics form


def generate(accept: str, textfiles: Textfiles) -> tuple[str, str]:
    """Return the text and its content type: the metrics of the app and of the text files."""
    own, content_type = _exporter().generate_metrics(accept or None)
    encode, _ = choose_encoder(accept)
    registry = CollectorRegistry()
    registry.register(textfiles)
    return own.removesuffix(_END) + encode(registry).decode(), content_type


@cache
def _exporter() -> PrometheusMetrics:
    # The hooks and default metrics of the exporter stay off: routes count through bound children.
    return PrometheusMetrics(app=None, path=None, export_defaults=False, registry=REGISTRY)
