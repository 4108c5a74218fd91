"""The metrics as Prometheus reads them. prometheus-flask-exporter sums them over all processes."""

from __future__ import annotations

from functools import cache

from prometheus_flask_exporter import PrometheusMetrics

from algosat.monitoring.metrics import REGISTRY


def generate(accept: str) -> tuple[str, str]:
    """The text and its content type."""
    text, content_type = _exporter().generate_metrics(accept or None)
    return text, content_type


@cache
def _exporter() -> PrometheusMetrics:
    # Its own hooks and default metrics stay off: routes are counted by children bound beforehand.
    return PrometheusMetrics(app=None, path=None, export_defaults=False, registry=REGISTRY)
