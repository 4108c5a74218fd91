from __future__ import annotations

from pathlib import Path

from algosat.host import probe


def test_reading_of_this_machine_is_plausible(tmp_path: Path) -> None:
    reading = probe.read(tmp_path)
    assert reading.cpu_count >= 1
    assert 0 < reading.memory_available <= reading.memory_total
    assert 0 < reading.disk_free <= reading.disk_total
    assert all(0 <= percent <= 100 for percent in (reading.memory_percent, reading.disk_percent))
