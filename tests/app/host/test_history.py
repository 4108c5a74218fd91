from __future__ import annotations

from pathlib import Path

from algosat.host.history import MINUTES, History, HistoryFiles, mean, points
from tests.app.host.readings import process, reading


def test_mean_averages_what_goes_up_and_down_and_keeps_the_last_of_sums() -> None:
    readings = [
        reading(at=0.0, cpu_percent=100.0, disk_read_bytes=5, processes=(process("engine", open_fds=10),)),
        reading(at=5.0, cpu_percent=0.0, disk_read_bytes=9, processes=(process("engine", open_fds=30),)),
    ]
    found = mean(readings)
    assert (found.at, found.cpu_percent, found.disk_read_bytes) == (5.0, 50.0, 9)
    assert found.processes[0].open_fds == 20


def test_mean_of_a_process_leaves_out_another_one_of_its_name() -> None:
    before, after = process("engine", pid=1, threads=99), process("engine", pid=2, threads=9)
    assert mean([reading(processes=(before,)), reading(processes=(after,))]).processes == (after,)


def test_what_one_process_writes_all_read(tmp_path: Path) -> None:
    writer, reader = HistoryFiles(tmp_path), HistoryFiles(tmp_path)
    assert reader.read() == History()
    minutes = [reading(at=60.0 * at, processes=(process("engine"),)) for at in range(3)]
    for minute in minutes:
        writer.add_minute(minute)
        assert reader.read().latest is None
    writer.write_recent(minutes[-1:])
    assert reader.read() == History(tuple(minutes), (minutes[-1],))
    assert reader.read().mean == minutes[-1]


def test_history_is_bounded(tmp_path: Path) -> None:
    files = HistoryFiles(tmp_path)
    line = (tmp_path / "host-minutes.jsonl").open("ab")
    files.add_minute(reading(at=0.0))
    with line:
        line.write((tmp_path / "host-minutes.jsonl").read_bytes() * (MINUTES + 119))
    assert len(files.read().minutes) == MINUTES
    files.add_minute(reading(at=9.0))
    assert len((tmp_path / "host-minutes.jsonl").read_bytes().splitlines()) == MINUTES
    assert files.read().minutes[-1].at == 9.0


def test_line_that_is_being_written_is_read_once_it_is_whole(tmp_path: Path) -> None:
    writer, reader = HistoryFiles(tmp_path), HistoryFiles(tmp_path)
    for at in (0.0, 60.0, 120.0):
        writer.add_minute(reading(at=at))
    file = tmp_path / "host-minutes.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:2])[:-5])
    assert [each.at for each in reader.read().minutes] == [0.0]
    file.write_bytes(b"".join(lines[:2]))
    assert [each.at for each in reader.read().minutes] == [0.0, 60.0]
    writer.add_minute(reading(at=180.0))
    assert [each.at for each in reader.read().minutes] == [0.0, 60.0, 180.0]
    replacement = tmp_path / "new"
    replacement.write_bytes(lines[2])
    replacement.rename(file)
    assert [each.at for each in reader.read().minutes] == [120.0]


def test_lines_that_are_cut_or_of_another_release_are_left_out(tmp_path: Path) -> None:
    files = HistoryFiles(tmp_path)
    (tmp_path / "host-minutes.jsonl").write_text('{"at": 3, "moon": "full"}\n{"at"')
    (tmp_path / "host-recent.json").write_text("[{")
    assert files.read() == History()
    (tmp_path / "host-minutes.jsonl").write_text('[3]\n"x"\n')
    assert files.read() == History()


def test_points_are_thinned_out_and_have_rates() -> None:
    minutes = tuple(reading(at=60.0 * at, network_sent_bytes=600 * at) for at in range(121))
    found = points(History(minutes), 24)
    assert [point.at for point in found] == [300.0 * at for at in range(1, 25)]
    assert {point.network_sent_rate for point in found} == {10.0}
    assert len(points(History(minutes[:4]), 24)) == 3
    assert points(History(), 24) == points(History(minutes[:1]), 24) == []


def test_counters_that_start_anew_give_no_negative_rate() -> None:
    minutes = (reading(at=0.0, disk_read_bytes=10**9), reading(at=60.0, disk_read_bytes=600))
    assert points(History(minutes), 24)[0].disk_read_rate == 0
