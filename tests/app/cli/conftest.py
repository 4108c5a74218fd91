from __future__ import annotations

import pytest

from algosat.monitoring import multiprocess


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the variable that a service sets for its metrics: it would empty /metrics in later tests."""
    monkeypatch.setenv(multiprocess.VARIABLE, "")
    monkeypatch.delenv(multiprocess.VARIABLE)
