"""docs/metrics.md: every metric of the application with its labels and meaning, from the declarations."""

from collections.abc import Iterator, Sequence

from prometheus_client.metrics import MetricWrapperBase

from algosat.monitoring import metrics
from algosat.monitoring.metrics import StateMetric
from tools.paths import ROOT
from tools.say import note

PAGE = ROOT / "docs" / "metrics.md"

HEAD = """# Metrics

`GET /metrics` shows them in Prometheus' format. `make docs` writes this page from
`app/algosat/monitoring/metrics.py`.

## Counted where something happens

The sums of all processes of the server, ended ones included. They begin anew when the machine starts.

| metric | type | labels | meaning |
|---|---|---|---|
"""

STATE = """
## Computed at each scrape

From health, the store, the engine's heartbeat and the readings of the machine. They need no running engine.

| metric | labels | meaning |
|---|---|---|
"""

TAIL = """
Programs beside the application leave theirs in `/var/lib/algosat/reports/*.prom`: backups, failed units, the
certificate, differences from the inventory.
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(text())
    note(str(PAGE.relative_to(ROOT)))


def text() -> str:
    """Return the text that the page must have."""
    return HEAD + "".join(_counted()) + STATE + "".join(_computed()) + TAIL


def _counted() -> Iterator[str]:
    declared = [each for each in vars(metrics).values() if isinstance(each, MetricWrapperBase)]
    for each in sorted(declared, key=lambda each: each._name):  # noqa: SLF001 - as in the next line
        labels = each._labelnames  # noqa: SLF001 - the library shows them with samples only
        (family,) = each.describe()
        name = f"{family.name}_total" if family.type == "counter" else family.name
        yield f"| `{name}` | {family.type} | {_labels(labels)} | {family.documentation} |\n"


def _computed() -> Iterator[str]:
    for declared in sorted(_state_metrics(), key=lambda each: each.name):
        yield f"| `{declared.name}` | {_labels(declared.labels)} | {declared.help_text} |\n"


def _state_metrics() -> list[StateMetric]:
    return [each for each in vars(metrics).values() if isinstance(each, StateMetric)]


def _labels(labels: Sequence[str]) -> str:
    return ", ".join(f"`{label}`" for label in labels)


if __name__ == "__main__":
    main()
