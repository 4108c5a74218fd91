"""Fixture of the release tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from algosat_release import health, machine, store
from tests.infra.releases.fake_server import FakeServer


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    fake = FakeServer(tmp_path)
    monkeypatch.setattr(machine, "attempt", fake.attempt)
    monkeypatch.setattr(store, "attempt", fake.attempt)
    monkeypatch.setattr(health, "wait", fake.wait)
    monkeypatch.setattr("shutil.chown", lambda *_: None)
    return fake
