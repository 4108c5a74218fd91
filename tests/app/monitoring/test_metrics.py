from __future__ import annotations

import pytest

from algosat.monitoring import metrics


def test_codes_are_bounded_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_codes", set())
    for number in range(300):
        metrics.rejections(f"broker-{number}", "bounded", "PAPER").inc()
    metrics.rejections(None, "bounded", "PAPER").inc()
    metrics.rejections("broker-1", "bounded", "PAPER").inc()
    (family,) = metrics.REJECTIONS.collect()
    counted = {
        sample.labels["code"]: sample.value
        for sample in family.samples
        if sample.labels["account"] == "bounded" and sample.name.endswith("_total")
    }
    assert len(counted) == 201
    assert counted["other"] == 101
    assert counted["broker-1"] == 2


def test_samples_are_grouped_by_metric() -> None:
    one = metrics.StateMetric("algosat_one", "One.", ("account",))
    two = metrics.StateMetric("algosat_two", "Two.")
    families = list(metrics.families([one.at(1, "a"), two.at(2), one.at(True, "b")]))
    assert [family.name for family in families] == ["algosat_one", "algosat_two"]
    assert [(sample.labels, sample.value) for sample in families[0].samples] == [
        ({"account": "a"}, 1.0),
        ({"account": "b"}, 1.0),
    ]


def test_each_name_is_declared_once() -> None:
    declared = [each.name for each in vars(metrics).values() if isinstance(each, metrics.StateMetric)]
    counted = [family.name for family in metrics.REGISTRY.collect()]
    assert len(set(declared + counted)) == len(declared + counted)
    assert all(name.startswith("algosat_") for name in declared + counted)
