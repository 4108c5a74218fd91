from __future__ import annotations

from pathlib import Path

import pytest

from algosat_release import health, machine, store
from tests.infra.releases.pretended import Server


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    fake = Server(tmp_path)
    monkeypatch.setattr(machine, "attempt", fake.attempt)
    monkeypatch.setattr(store, "attempt", fake.attempt)
    monkeypatch.setattr(health, "wait", fake.wait)
    monkeypatch.setattr("shutil.chown", lambda *_: None)
    return fake
