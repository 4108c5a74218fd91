"""The program that puts releases in force: what it does when all goes well, and when something does not."""

from __future__ import annotations

import fcntl
import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from algosat_release import __main__ as command
from algosat_release import guard, health, layout, machine, store, switch
from algosat_release.layout import COMPLETE, CONFIGURATION, Layout, Release
from algosat_release.machine import Failed, Refused

UNITS = ("algosat.socket", "algosat-engine.service", "algosat.service")
STANDBY = "algosat-engine-standby.service"


class Server:
    """A server whose systemd and releases only write down what they were asked."""

    def __init__(self, root: Path) -> None:
        self.asked: list[str] = []
        self.refuses: dict[str, int] = {}  # part of a command to its exit code
        self.says: dict[str, str] = {}
        self.healthy: Callable[[Release | None], bool] = lambda _: True
        self.active = True
        told = {
            "configuration": str(root / "etc"),
            "runtime": str(root / "run"),
            "user": "algosat",
            "group": "algosat",
            "units": UNITS,
            "standby": STANDBY,
            "unit_directory": str(root / "systemd"),
            "server_name": "trade.example.com",
            "ca_file": str(root / "ca.pem"),
            "health_wait_seconds": 1,
            "kept": 2,
        }
        for name in ("home/releases", "etc", "run", "systemd"):
            (root / name).mkdir(parents=True)
        for unit in UNITS:
            (root / "systemd" / unit).write_text(f"# {unit}\n")
        (root / "home" / "release.json").write_text(json.dumps(told))
        self.layout: Layout = layout.read(root / "home" / "release.json")

    def has(self, name: str, setting: str = "one") -> Release:
        release = self.layout.release(name)
        release.configuration.mkdir(parents=True)
        for file in CONFIGURATION:
            (release.configuration / file).write_text(f"setting: {setting}\n")
        (release.directory / COMPLETE).touch()
        return release

    def runs(self, name: str) -> Release:
        release = self.has(name)
        switch.switch(self.layout, release)
        self.asked.clear()
        return release

    def configuration(self) -> str:
        return (self.layout.configuration / "algosat.yaml").read_text()

    def attempt(self, command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
        line = " ".join(str(it) for it in command)
        self.asked.append(line)
        code = next((code for part, code in self.refuses.items() if part in line), 0)
        said = next((said for part, said in self.says.items() if part in line), "")
        if "systemctl show" in line:
            state = "active" if self.active else "failed"
            said = "\n\n".join(f"Id={it}\nActiveState={state}\nUnitFileState=enabled" for it in UNITS)
        return subprocess.CompletedProcess(line, code, said, f"{line} refused" if code else "")

    def wait(self, here: Layout) -> None:
        if not self.healthy(here.running()):
            raise Failed("not healthy")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    fake = Server(tmp_path)
    monkeypatch.setattr(machine, "attempt", fake.attempt)
    monkeypatch.setattr(store, "attempt", fake.attempt)
    monkeypatch.setattr(health, "wait", fake.wait)
    monkeypatch.setattr("shutil.chown", lambda *_: None)
    return fake


def restarted(server: Server) -> list[str]:
    return [it.removeprefix("systemctl restart ") for it in server.asked if "systemctl restart" in it]


def test_release_in_force_changes_nothing_and_restarts_nothing(server: Server) -> None:
    release = server.runs("1.0-a")
    assert switch.switch(server.layout, release) == []
    assert not any("restart" in it for it in server.asked)


def test_new_release_is_put_in_force_with_its_configuration(server: Server) -> None:
    server.runs("1.0-a")
    changed = switch.switch(server.layout, server.has("1.0-b", "two"))
    assert changed[0] == "release 1.0-a -> 1.0-b"
    assert server.layout.current.readlink() == Path("releases/1.0-b")
    assert server.configuration() == "setting: two\n"
    assert restarted(server) == ["algosat-engine.service", "algosat.service"]


def test_file_edited_by_hand_is_named_and_mended(server: Server) -> None:
    release = server.runs("1.0-a")
    (server.layout.configuration / "security.yaml").write_text("setting: mine\n")
    assert switch.differences(server.layout, release) == [
        f"configuration {server.layout.configuration / 'security.yaml'}"
    ]
    switch.switch(server.layout, release)
    assert (server.layout.configuration / "security.yaml").read_text() == "setting: one\n"


def test_changed_unit_file_restarts_the_services(server: Server) -> None:
    release = server.runs("1.0-a")
    (server.layout.unit_directory / "algosat.service").write_text("# other\n")
    assert switch.switch(server.layout, release) == ["unit algosat.service"]
    assert restarted(server) == ["algosat-engine.service", "algosat.service"]


def test_socket_is_replaced_only_once_its_service_has_let_go(server: Server) -> None:
    release = server.runs("1.0-a")
    (server.layout.unit_directory / "algosat.socket").write_text("# another port\n")
    switch.switch(server.layout, release)
    stop = server.asked.index("systemctl stop algosat-engine.service algosat.service algosat.socket")
    assert stop < server.asked.index("systemctl start algosat.socket")


def test_unit_that_sleeps_is_woken_without_a_restart(server: Server) -> None:
    release = server.runs("1.0-a")
    server.active = False
    changed = switch.switch(server.layout, release)
    assert changed[0] == "unit algosat.socket is failed, enabled"
    assert f"systemctl enable --now {' '.join(UNITS)}" in server.asked
    assert not any("restart" in it for it in server.asked)


def test_configuration_the_release_does_not_accept_changes_nothing(server: Server) -> None:
    server.runs("1.0-a")
    release = server.has("1.0-b", "wrong")
    server.refuses["config check"] = 1
    with pytest.raises(Refused, match=r"1.0-b does not accept its configuration"):
        switch.switch(server.layout, release)
    assert server.layout.current.readlink() == Path("releases/1.0-a")
    assert server.configuration() == "setting: one\n"
    assert not any("systemctl" in it and "show" not in it for it in server.asked)


def test_half_installed_release_is_refused(server: Server) -> None:
    release = server.has("1.0-a")
    (release.directory / COMPLETE).unlink()
    with pytest.raises(Refused, match="is not installed"):
        switch.switch(server.layout, release)


def test_unhealthy_release_is_taken_back_with_its_configuration(server: Server) -> None:
    server.runs("1.0-a")
    server.healthy = lambda running: running is not None and running.name == "1.0-a"
    with pytest.raises(Failed, match=r"(?s)1.0-b failed: not healthy.*1.0-a is in force again, and healthy"):
        switch.switch(server.layout, server.has("1.0-b", "two"))
    assert server.layout.current.readlink() == Path("releases/1.0-a")
    assert server.configuration() == "setting: one\n"
    assert [it.split("\t")[3] for it in server.layout.history.read_text().splitlines()] == [
        "in force",
        "failed: not healthy",
    ]


def test_changed_configuration_that_makes_a_release_sick_is_taken_back(server: Server) -> None:
    release = server.runs("1.0-a")
    (release.configuration / "algosat.yaml").write_text("setting: sick\n")
    server.healthy = lambda _: "sick" not in server.configuration()
    with pytest.raises(Failed, match=r"1\.0-a is in force again"):
        switch.switch(server.layout, release)
    assert server.configuration() == "setting: one\n"
    assert (release.configuration / "algosat.yaml").read_text() == "setting: one\n"


def test_first_release_that_fails_leaves_nothing_running(server: Server) -> None:
    server.healthy = lambda _: False
    with pytest.raises(Failed, match="There was no release before it"):
        switch.switch(server.layout, server.has("1.0-a"))
    assert not server.layout.current.is_symlink()
    assert any(it.startswith("systemctl disable --now") for it in server.asked)


def test_release_that_fails_to_start_is_explained_by_its_journal(server: Server) -> None:
    server.runs("1.0-a")
    server.refuses["systemctl restart"] = 1
    server.says["--unit=algosat-engine.service"] = "ModuleNotFoundError: numpy"
    with pytest.raises(Failed, match=r"(?s)algosat-engine.service ---\nModuleNotFoundError: numpy"):
        switch.switch(server.layout, server.has("1.0-b"))


@pytest.mark.parametrize("code", [guard.MARKET_OPEN, guard.UNDER_WAY])
def test_switch_that_would_cut_into_trading_is_refused_with_the_remedy(
    server: Server, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(guard, "LULL_SECONDS", 0.0)
    server.runs("1.0-a")
    server.refuses["1.0-a/bin/algosat engine idle"] = code
    server.says["engine idle"] = "EQ is in continuous until 15:30 IST\n"
    with pytest.raises(Refused, match=r"(?s)until 15:30 IST.*-e algosat_force=true"):
        switch.switch(server.layout, server.has("1.0-b", "two"))
    assert server.layout.current.readlink() == Path("releases/1.0-a")
    assert server.configuration() == "setting: one\n"
    assert not any("systemctl" in it and "show" not in it for it in server.asked)


def test_switch_that_would_cut_into_trading_is_made_when_forced(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.runs("1.0-a")
    server.refuses["engine idle"] = guard.MARKET_OPEN
    server.has("1.0-b")
    assert call(server, monkeypatch, "switch", "1.0-b", "--force") == 0
    assert server.layout.current.readlink() == Path("releases/1.0-b")


def test_orders_under_way_are_waited_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.runs("1.0-a")
    server.refuses["engine idle"] = guard.UNDER_WAY
    monkeypatch.setattr("time.sleep", lambda _: server.refuses.clear())
    switch.switch(server.layout, server.has("1.0-b"))
    assert server.layout.current.readlink() == Path("releases/1.0-b")


def test_restart_for_nothing_asks_nobody(server: Server) -> None:
    release = server.runs("1.0-a")
    server.refuses["engine idle"] = guard.MARKET_OPEN
    assert switch.switch(server.layout, release) == []


def test_somebody_who_asks_first_is_refused_with_the_same_words(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.runs("1.0-a")
    assert call(server, monkeypatch, "idle") == 0
    server.refuses["engine idle"] = guard.MARKET_OPEN
    server.says["engine idle"] = "EQ is in continuous until 15:30 IST\n"
    assert call(server, monkeypatch, "idle") == 1
    assert "until 15:30 IST" in capsys.readouterr().err


@pytest.mark.parametrize("asleep", [True, False])
def test_release_is_not_put_on_an_empty_store_where_there_was_one(server: Server, asleep: bool) -> None:
    running = server.runs("1.0-a")
    server.active = not asleep
    server.says["1.0-a/bin/algosat db current"] = "none 0001\n"
    with pytest.raises(Refused, match=r"1\.0-a is in force, but its store is empty: .*restore\.yml"):
        switch.switch(server.layout, running if asleep else server.has("1.0-b"))
    assert not any("systemctl" in it and "show" not in it for it in server.asked)


def test_release_in_force_is_asked_with_what_is_in_force(server: Server) -> None:
    release = server.runs("1.0-a")
    (release.configuration / "algosat.yaml").write_text("setting: two\n")
    server.refuses["db current"] = store.BEHIND
    server.says["backup.sh"] = "before.tar.gz\n"
    switch.switch(server.layout, release)
    asked = [it for it in server.asked if "engine idle" in it or "risk" in it]
    assert len(asked) == 4  # may it, does it trade, halt, resume
    assert all(f"ALGOSAT_CONFIG_DIR={server.layout.configuration} " in it for it in asked)


def test_engine_stands_in_while_the_other_one_restarts(server: Server) -> None:
    server.runs("1.0-a")
    switch.switch(server.layout, server.has("1.0-b"))
    steps = (
        f"systemctl start {STANDBY}",
        "systemctl restart algosat-engine.service",
        f"systemctl stop {STANDBY}",
        "systemctl restart algosat.service",
    )
    rest = iter(server.asked)
    assert all(step in rest for step in steps), server.asked


def test_engine_that_does_not_start_leaves_the_old_services_alone(server: Server) -> None:
    server.runs("1.0-a")
    server.refuses[f"systemctl start {STANDBY}"] = 1
    with pytest.raises(Failed):
        switch.switch(server.layout, server.has("1.0-b"))
    assert restarted(server) == []
    assert server.layout.current.readlink() == Path("releases/1.0-a")


def test_store_is_backed_up_and_migrated_while_trading_is_halted_and_services_are_held(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.runs("1.0-a")
    server.refuses["1.0-b/bin/algosat db current"] = store.BEHIND
    server.says["backup.sh"] = "/backups/algosat-20261122T000000Z-before-migration.tar.gz\n"
    switch.switch(server.layout, server.has("1.0-b"))
    steps = (
        "1.0-a/bin/algosat risk halt --no-cancel",
        f"systemctl stop {STANDBY} algosat-engine.service algosat.service",
        "backup.sh --label before-migration",
        "1.0-b/bin/algosat db upgrade",
        "systemctl restart",
        "1.0-b/bin/algosat risk resume",
    )
    found = [next(i for i, line in enumerate(server.asked) if step in line) for step in steps]
    assert found == sorted(found)


def test_trading_that_was_halted_before_stays_halted(server: Server) -> None:
    server.runs("1.0-a")
    server.refuses["1.0-b/bin/algosat db current"] = store.BEHIND
    server.says |= {"risk status": "halted\nall\t…\n", "backup.sh": "/backups/one.tar.gz\n"}
    switch.switch(server.layout, server.has("1.0-b"))
    assert not any("risk halt" in it or "risk resume" in it for it in server.asked)


def test_store_comes_back_when_the_migrated_release_is_not_healthy(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.runs("1.0-a")
    server.refuses["1.0-b/bin/algosat db current"] = store.BEHIND
    server.says["backup.sh"] = "/backups/one.tar.gz\n"
    server.healthy = lambda running: running is not None and running.name == "1.0-a"
    put_back: list[tuple[str, Path]] = []
    monkeypatch.setattr(
        store, "put_back", lambda _, release, archive: put_back.append((release.name, archive))
    )
    with pytest.raises(Failed, match=r"1\.0-a is in force again"):
        switch.switch(server.layout, server.has("1.0-b"))
    assert put_back == [("1.0-a", Path("/backups/one.tar.gz"))]
    assert "1.0-a/bin/algosat risk resume" in server.asked[-1]


def test_store_of_a_newer_release_is_refused_with_the_remedy(server: Server) -> None:
    server.runs("1.0-a")
    server.refuses["1.0-0/bin/algosat db current"] = store.NEWER
    server.says["1.0-0/bin/algosat db current"] = "0009 0004\n"
    with pytest.raises(Refused, match=r"version 0009, which 1.0-0 does not know; restore"):
        switch.switch(server.layout, server.has("1.0-0"))
    assert server.layout.current.readlink() == Path("releases/1.0-a")


def call(server: Server, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    file = str(server.layout.home / "release.json")
    monkeypatch.setattr("sys.argv", ["release", "--layout", file, *arguments])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    return command.main()


def test_rollback_puts_the_release_before_in_force_with_the_configuration_of_now(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.runs("1.0-a")
    switch.switch(server.layout, server.has("1.0-b", "two"))
    assert call(server, monkeypatch, "rollback") == 0
    assert server.layout.current.readlink() == Path("releases/1.0-a")
    assert server.configuration() == "setting: two\n"


def refuses_that_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the older release refuse the configuration in force, once."""
    answers = iter([Refused("colour is not a known setting")])

    def accept(layout: Layout, release: Release, *options: str) -> None:
        for refusal in answers:
            raise refusal
        switch.accept(layout, release, *options)

    monkeypatch.setattr(command, "accept", accept)


def test_rollback_does_not_bring_back_keys_that_were_replaced(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.runs("1.0-a")
    switch.switch(server.layout, server.has("1.0-b", "two"))
    refuses_that_of_now(monkeypatch)
    server.refuses[f"1.0-a/bin/algosat config check --in-force {server.layout.configuration}"] = 1
    assert call(server, monkeypatch, "rollback") == 1
    assert server.layout.current.readlink() == Path("releases/1.0-b")
    assert "refused, nothing was changed: 1.0-a does not accept" in capsys.readouterr().err


def test_rollback_takes_the_configuration_of_then_if_the_older_release_refuses_that_of_now(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = server.runs("1.0-a")
    switch.switch(server.layout, server.has("1.0-b", "two"))
    refuses_that_of_now(monkeypatch)
    assert call(server, monkeypatch, "rollback") == 0
    assert server.configuration() == "setting: one\n"
    assert (old.configuration / "algosat.yaml").read_text() == "setting: one\n"
    assert "the configuration it last ran with: colour is not a known setting" in capsys.readouterr().err


@pytest.mark.parametrize("wanted", [["rollback"], ["rollback", "1.0-x"], ["switch", "1.0-x"]])
def test_release_that_is_not_there_is_refused(
    wanted: list[str], server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.runs("1.0-a")
    assert call(server, monkeypatch, *wanted) == 1
    assert "refused, nothing was changed" in capsys.readouterr().err
    assert server.layout.current.readlink() == Path("releases/1.0-a")


def test_two_releases_at_a_time_are_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.has("1.0-a")
    with (server.layout.home / ".release.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert call(server, monkeypatch, "switch", "1.0-a") == 1
    assert "another release is under way" in capsys.readouterr().err


def test_oldest_releases_go_but_never_the_one_before(server: Server) -> None:
    for name in ("1.0-a", "1.0-b", "1.0-c", "1.0-d"):
        server.runs(name)
    kept = sorted(it.name for it in (server.layout.home / "releases").iterdir())
    assert kept == ["1.0-c", "1.0-d"]


@pytest.mark.parametrize(
    ("status", "body", "complaint"),
    [
        (200, {"status": "healthy", "components": {"database": True, "engine": True}}, None),
        (200, {"status": "degraded", "components": {"database": True, "vps": False}}, None),
        (200, {"status": "degraded", "components": {"database": True, "engine": False}}, "engine as broken"),
        (503, {"status": "unhealthy"}, "answered 503"),
        (200, ["healthy"], "something else than an object"),
    ],
)
def test_answer_of_health_is_judged(status: int, body: object, complaint: str | None) -> None:
    found = health.judge(status, body)
    assert (found is None) if complaint is None else (found is not None and complaint in found)
