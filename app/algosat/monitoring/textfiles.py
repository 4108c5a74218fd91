"""Metrics of programs beside the app (backups, drills, drift), from text files in Prometheus' format.

The programs write `NAME.prom` into one directory, as for the node exporter's textfile collector. /metrics
shows the metrics, and health evaluates them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

_log = structlog.get_logger(__name__)

DIRECTORY: Final = "reports"  # below the data directory
_OURS: Final = "algosat_"


@dataclass(frozen=True, slots=True)
class Textfiles(Collector):
    """The `*.prom` files of a directory. An unreadable file is skipped and logged."""

    directory: Path

    def collect(self) -> Iterable[Metric]:
        seen: set[str] = set()
        for file in sorted(self.directory.glob("*.prom")):
            for metric in _parse(file):
                # A duplicate name would make Prometheus reject the whole page.
                if metric.name.startswith(_OURS) and metric.name not in seen:
                    seen.add(metric.name)
                    yield metric

    def values(self, name: str) -> Mapping[str, float]:
        """Return the values of a metric by the value of its only label, or by '' if it has no label."""
        samples = [it for metric in self.collect() if metric.name == name for it in metric.samples]
        return {next(iter(it.labels.values()), ""): it.value for it in samples}


def _parse(file: Path) -> list[Metric]:
    try:
        return list(text_string_to_metric_families(file.read_text()))
    except (OSError, ValueError) as error:
        _log.warning("textfile_unreadable", file=str(file), problem=str(error))
        return []
