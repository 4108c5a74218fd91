from __future__ import annotations

import pytest

from algosat.strategies import catalog
from tests.app.strategies.doubles import Scripted


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> type[Scripted]:
    """The scripted strategy, in the catalogue, with nothing told and nothing to do."""
    monkeypatch.setitem(catalog.CLASSES, "scripted", Scripted)
    Scripted.script.clear()
    Scripted.told.clear()
    return Scripted
