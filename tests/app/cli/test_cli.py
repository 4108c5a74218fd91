from __future__ import annotations

import base64
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from sqlalchemy import select

from algosat import clock, systemd
from algosat.cli import cli, main
from algosat.cli.base import Chosen
from algosat.config.settings import Settings
from algosat.domain.alert_kinds import AlertKind
from algosat.domain.machine import Machine
from algosat.domain.orders import Product
from algosat.engine.main import this_machine
from algosat.errors import AlgosatError, ConfigurationError, LockedOut, NotFound, WrongCredentials
from algosat.security import sessions, users
from algosat.security.sessions import Session
from algosat.store import ledger, machines
from algosat.store.database import Database
from algosat.store.tables import events
from algosat.store.write_lock import exclusive
from algosat.store.writer import Writer
from algosat.trading import activity, cancel, close, halts
from algosat.trading.alerts import open_alert
from tests.app.builders import algosat_data, write_configuration
from tests.app.client import PASSWORD as ADMIN_PASSWORD
from tests.app.desks import CAUSE, hold, instruments, replace_instruments, set_prices

Run = Callable[..., Result]

PASSWORD = "a fine long secret\n"


@pytest.fixture
def run(directory: Path) -> Run:
    def run(*arguments: str, text: str | None = None) -> Result:
        return CliRunner().invoke(cli, ["--config-dir", str(directory), *arguments], input=text)

    return run


def refused(result: Result) -> str:
    assert isinstance(result.exception, AlgosatError), result.output
    return result.exception.detail


def test_every_command_has_help() -> None:
    for arguments in (
        [],
        ["book"],
        ["broker"],
        ["config"],
        ["db"],
        ["store"],
        ["user"],
        ["risk"],
        ["alert"],
        ["close"],
        ["conversion"],
        ["credentials"],
        ["engine"],
        ["host"],
        ["keyring"],
        ["logs"],
        ["serve"],
    ):
        result = CliRunner().invoke(cli, [*arguments, "--help"])
        assert result.exit_code == 0
        assert "Usage: cli" in result.output


def test_valid_configuration_is_reported_as_valid(run: Run, directory: Path) -> None:
    result = run("config", "check")
    assert (result.exit_code, result.output) == (0, f"{directory}: valid for the environment testing\n")


def test_invalid_configuration_is_refused_with_every_problem(tmp_path: Path) -> None:
    write_configuration(tmp_path, algosat_data(tmp_path, api__port=0, debug="no"))
    result = CliRunner().invoke(cli, ["config", "check", "--config-dir", str(tmp_path)])
    message = refused(result)
    assert "api.port" in message
    assert "debug" in message


@pytest.mark.parametrize(
    ("arguments", "name"),
    [(["enigne"], "engine"), (["engine", "statsu"], "status"), (["--versoin"], "--version")],
)
def test_misspelt_command_gets_the_closest_one_as_a_hint(run: Run, arguments: list[str], name: str) -> None:
    assert f"Did you mean '{name}'?" in run(*arguments).output


def test_changes_are_named_as_live_or_needing_a_restart(tmp_path: Path) -> None:
    for name, differences in (("new", {"logging__level": "ERROR", "api__port": 9090}), ("old", {})):
        (tmp_path / name).mkdir()
        write_configuration(tmp_path / name, algosat_data(tmp_path, **differences))
    changes = ("config", "changes", "--config-dir", str(tmp_path / "new"), "--in-force")
    assert CliRunner().invoke(cli, [*changes, str(tmp_path / "new")]).output == ""
    result = CliRunner().invoke(cli, [*changes, str(tmp_path / "old")])
    assert result.output == "live\tlogging.level\nrestart\tapi.port\n"


def test_directory_that_is_missing_is_refused_unless_the_files_are_for_another_machine(
    tmp_path: Path,
) -> None:
    missing = tmp_path / "missing"
    write_configuration(tmp_path, algosat_data(tmp_path, logging__file=str(missing / "algosat.log")))
    check = ("config", "check", "--config-dir", str(tmp_path))
    message = refused(CliRunner().invoke(cli, check))
    assert f"algosat.yaml: logging.file: there is no directory {missing}" in message
    assert CliRunner().invoke(cli, [*check, "--elsewhere"]).exit_code == 0


def test_access_rule_without_a_route_is_refused(run: Run, directory: Path) -> None:
    data = yaml.safe_load((directory / "security.yaml").read_text())
    data["access_control"]["admin_only_endpoints"] = ["/ordres"]
    (directory / "security.yaml").write_text(yaml.safe_dump(data))
    assert "/ordres is not a route of this server; did you mean /orders?" in refused(run("config", "check"))


def test_unreachable_store_is_reported_without_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = "postgresql+psycopg://trader:sesame@127.0.0.1:1/book"
    write_configuration(tmp_path, algosat_data(tmp_path, database__url=nowhere))
    monkeypatch.setattr("sys.argv", ["algosat", "--config-dir", str(tmp_path), "db", "current"])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr().err
    assert ended.value.code == 1
    assert printed.startswith("algosat: the store does not answer: ")
    assert "database.url" in printed
    assert "sesame" not in printed


def test_version_of_a_missing_store_creates_no_store(tmp_path: Path) -> None:
    write_configuration(tmp_path, algosat_data(tmp_path))
    result = CliRunner().invoke(cli, ["--config-dir", str(tmp_path), "db", "current"])
    assert (result.exit_code, result.stdout.split()[0]) == (3, "none")
    assert "algosat db upgrade" in result.stderr
    assert list((tmp_path / "data").iterdir()) == []


def test_user_list_without_a_store_names_the_remedy(tmp_path: Path) -> None:
    write_configuration(tmp_path, algosat_data(tmp_path))
    result = CliRunner().invoke(cli, ["--config-dir", str(tmp_path), "user", "list"])
    assert "algosat db upgrade" in refused(result)


def rotated(directory: Path, successor: Path) -> None:
    """Copy the settings to `successor`, with new keys before the old ones."""
    shutil.copytree(directory, successor)
    made = yaml.safe_load(CliRunner().invoke(cli, ["credentials", "generate"]).output)
    for file, section, key, variable in (
        ("algosat.yaml", "security", "secret_key", "vault_algosat_security_secret_key"),
        ("security.yaml", "encryption", "keys", "vault_algosat_encryption_keys"),
    ):
        data = yaml.safe_load((successor / file).read_text())
        before, data[section][key] = data[section][key], made[variable]
        if key == "keys":
            data[section][key] += before
        else:
            data[section]["previous_secret_keys"] = [before]
        (successor / file).write_text(yaml.safe_dump(data))


def test_configuration_with_new_keys_may_replace_the_one_in_force(directory: Path, tmp_path: Path) -> None:
    rotated(directory, tmp_path / "new")
    options = ["--config-dir", str(tmp_path / "new"), "--in-force", str(directory)]
    assert CliRunner().invoke(cli, ["config", "check", *options]).exit_code == 0


def test_configuration_from_before_a_key_rotation_is_refused(
    run: Run, directory: Path, tmp_path: Path
) -> None:
    rotated(directory, tmp_path / "new")
    message = refused(run("config", "check", "--in-force", str(tmp_path / "new")))
    assert "security.secret_key: a newer key is in use" in message
    assert "encryption.keys: the key that encrypts on this server is missing" in message
    assert "-e algosat_forget_keys=true" in message


@pytest.mark.parametrize("content", [None, "", "- a list", "security: 1\nencryption:\n", "\t"])
def test_configuration_may_replace_a_missing_or_unreadable_one(
    run: Run, tmp_path: Path, content: str | None
) -> None:
    (there := tmp_path / "there").mkdir()
    for file in ("algosat.yaml", "security.yaml"):
        if content is not None:
            (there / file).write_text(content)
    assert run("config", "check", "--in-force", str(there)).exit_code == 0


def test_config_show_masks_secrets(run: Run) -> None:
    result = run("config", "show")
    shown = yaml.safe_load(result.output)
    assert shown["security"]["secret_key"] == "**********"
    assert shown["api"]["port"] == 8080


def test_upgrade_of_a_current_store_changes_nothing(run: Run) -> None:
    result = run("db", "current")
    assert (result.exit_code, len(set(result.output.split()))) == (0, 1)
    assert "already" in run("db", "upgrade").output


def test_missing_store_is_outdated_until_it_is_upgraded(tmp_path: Path) -> None:
    write_configuration(tmp_path)
    runner = CliRunner(env={"ALGOSAT_CONFIG_DIR": str(tmp_path)})
    result = runner.invoke(cli, ["db", "current"])
    assert (result.exit_code, result.output.split()[0]) == (3, "none")
    assert "algosat db upgrade" in refused(runner.invoke(cli, ["risk", "status"]))
    assert runner.invoke(cli, ["db", "upgrade"]).exit_code == 0
    assert runner.invoke(cli, ["db", "current"]).exit_code == 0


def test_user_is_added_once(run: Run) -> None:
    add = ("user", "add", "ann", "--role", "trader", "--password-stdin")
    assert run(*add, text=PASSWORD).output == "created\n"
    assert run(*add, "--if-missing", text=PASSWORD).output == "exists\n"
    assert "already" in refused(run(*add, text=PASSWORD))
    assert "ann\ttrader\tactive" in run("user", "list").output


@pytest.mark.parametrize(
    ("name", "password"), [("a b", PASSWORD), ("ann", "short\n"), ("ann", "\n"), ("-x", PASSWORD)]
)
def test_invalid_user_is_not_added(run: Run, name: str, password: str) -> None:
    result = run("user", "add", "--role", "admin", "--password-stdin", "--", name, text=password)
    assert refused(result)
    assert name not in run("user", "list").output


def test_user_is_disabled_enabled_and_given_a_new_password(run: Run) -> None:
    assert run("user", "disable", "trader").output == "disabled\n"
    assert "trader\ttrader\tdisabled" in run("user", "list").output
    assert run("user", "enable", "trader").output == "enabled\n"
    assert "last admin" in refused(run("user", "disable", "admin"))
    assert "no user nobody" in refused(run("user", "passwd", "nobody", "--password-stdin", text=PASSWORD))
    assert run("user", "passwd", "trader", "--password-stdin", text=PASSWORD).output == "changed\n"


def test_pnl_exit_is_set_listed_and_removed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(run("risk", "pnl-exit", "set", "trned", "--loss", "5").exception, NotFound)
    monkeypatch.setattr(halts, "require_known", lambda _connection, _scope: None)
    assert run("risk", "pnl-exit", "set", "trend", "--profit", "500", "--loss", "300.5").output == "set\n"
    assert run("risk", "pnl-exit", "list").output == "trend\t500\t300.5\t-\t-\n"
    assert run("risk", "pnl-exit", "remove", "trend").output == "removed\n"
    assert run("risk", "pnl-exit", "list").output == ""
    assert "is not an amount above 0" in run("risk", "pnl-exit", "set", "trend", "--loss", "-5").output


def test_trading_is_halted_and_resumed_from_the_server(run: Run) -> None:
    assert run("risk", "status").output == "trading\n"
    assert run("risk", "halt", "--reason", "a drill").output == "halted\n"
    lines = run("risk", "status").output.splitlines()
    assert lines[0] == "halted"
    assert lines[1].endswith("\ta drill")
    assert run("risk", "resume").output == "resumed\n"
    assert run("risk", "resume").output == "was not halted\n"


def test_closes_are_listed_and_withdrawn_on_the_server(run: Run, directory: Path) -> None:
    assert run("close", "list").output == ""
    with Chosen(directory).desk() as desk:
        replace_instruments(desk, instruments())
        desk.writer.run(lambda connection: ledger.deposit(connection, desk.account, Decimal(100_000)))
        set_prices(desk)
        hold(desk, "10")
        closing = close.close_all(desk, CAUSE).close
    first, line = (each.split("\t") for each in run("close", "list").output.splitlines())
    assert (first[0], first[2:]) == (closing.id, ["tester", "closing"])
    assert line[1:5] == ["ALPHA-EQ", "delivery", "-", "sending"]
    assert run("close", "withdraw", closing.id).output == "withdrawn\n"
    assert run("close", "list").output == ""
    assert len(run("close", "list", "--all").output.splitlines()) == 2
    assert "is finished" in refused(run("close", "withdraw", closing.id))


def test_conversions_are_requested_listed_and_settled_on_the_server(run: Run, directory: Path) -> None:
    with Chosen(directory).desk() as desk:
        replace_instruments(desk, instruments())
        desk.writer.run(lambda connection: ledger.deposit(connection, desk.account, Decimal(100_000)))
        set_prices(desk)
        hold(desk, "10", product=Product.INTRADAY)
    assert (
        "no decimal number" in run("conversion", "request", "ALPHA-EQ", "delivery", "--quantity", "x").output
    )
    answer = run("conversion", "request", "ALPHA-EQ", "delivery", "--quantity", "4").output
    conversion_id = answer.removeprefix("requested (").removesuffix(")\n")
    (line,) = run("conversion", "list").output.splitlines()
    assert line.split("\t")[0] == conversion_id
    assert line.split("\t")[2:] == ["4", "ALPHA-EQ", "-", "intraday to delivery", "created", ""]
    assert "is created" in refused(run("conversion", "settle", conversion_id, "--converted"))
    assert run("conversion", "cancel", conversion_id).output == "cancelled\n"
    assert run("conversion", "list").output == ""
    assert len(run("conversion", "list", "--all").output.splitlines()) == 1


def test_alerts_are_listed_and_acknowledged_on_the_server(run: Run, directory: Path) -> None:
    assert run("alert", "list").output == ""
    with Chosen(directory).desk() as desk:
        for kind in (AlertKind.BROKER_OVERFILL, AlertKind.RISK_UNPRICED):
            desk.writer.run(partial(open_alert, desk=desk, kind=kind, subject="X", cause=CAUSE, detail="why"))
    (first, _) = (line.split("\t") for line in run("alert", "list").output.splitlines())
    assert (first[0], first[2:]) == ("2", ["critical", "risk.unpriced", "X", "-", "why", "paper"])
    assert run("alert", "acknowledge", "1").output.endswith("; closed\n")
    assert run("alert", "acknowledge", "2").output.endswith("; open\n")
    (line,) = run("alert", "list").output.splitlines()
    assert "\tcli:" in line
    assert len(run("alert", "list", "--all").output.splitlines()) == 2
    assert "no alert 3" in refused(run("alert", "acknowledge", "3"))


def test_store_is_verified_copied_and_restored(run: Run, tmp_path: Path) -> None:
    assert run("store", "verify").exit_code == 0
    copy = tmp_path / "copy.db"
    assert run("store", "snapshot", str(copy)).exit_code == 0
    run("user", "add", "ann", "--role", "trader", "--password-stdin", text=PASSWORD)
    assert run("store", "restore", str(copy)).exit_code == 0
    assert "ann" not in run("user", "list").output
    assert refused(run("store", "restore", str(tmp_path / "algosat.yaml")))


def test_snapshot_is_verified_without_changing_anything(run: Run, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    run("store", "snapshot", str(copy))
    before = copy.read_bytes(), sorted(tmp_path.iterdir())
    assert "clean" in run("store", "verify", str(copy)).output
    assert (copy.read_bytes(), sorted(tmp_path.iterdir())) == before
    assert refused(run("store", "verify", str(tmp_path / "algosat.yaml")))


@pytest.mark.sqlite
def test_changed_event_in_a_snapshot_is_found(run: Run, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    run("user", "add", "ann", "--role", "trader", "--password-stdin", text=PASSWORD)
    run("store", "snapshot", str(copy))
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("DELETE FROM events WHERE seq = 1")
        connection.execute("UPDATE events SET actor = 'nobody'")
        connection.commit()
    proof = run("store", "verify", str(copy))
    assert proof.exit_code == 1
    assert "was changed" in proof.output
    assert run("store", "verify").exit_code == 0


def test_generated_credentials_are_long_and_never_equal() -> None:
    first, second = (
        yaml.safe_load(CliRunner().invoke(cli, ["credentials", "generate"]).output) for _ in range(2)
    )
    assert set(first) == {
        "vault_algosat_security_secret_key",
        "vault_algosat_encryption_keys",
        "vault_algosat_admin_password",
    }
    assert all(first[name] != second[name] for name in first)
    assert len(base64.urlsafe_b64decode(first["vault_algosat_encryption_keys"][0])) == 32
    assert len(first["vault_algosat_security_secret_key"]) >= 64


def test_invalid_settings_stop_the_services_with_code_78(tmp_path: Path) -> None:
    for service in (["serve"], ["engine", "run"]):
        result = CliRunner().invoke(cli, ["--config-dir", str(tmp_path), *service])
        assert result.exit_code == 78
        assert "there is no such file" in result.output


@pytest.mark.parametrize("service", [["serve"], ["engine", "run"], ["strategy", "supervise"]])
@pytest.mark.parametrize(
    ("error", "ready", "code"),
    [
        (ModuleNotFoundError("No module named 'psycopg'"), False, 78),
        (OSError(28, "No space left on device"), False, 1),
        (TypeError("a mistake"), True, 1),
    ],
)
def test_service_that_cannot_start_ends_with_code_78_unless_a_restart_may_help(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    service: list[str],
    error: Exception,
    ready: bool,
    code: int,
) -> None:
    def fail(_self: Chosen, _process: str) -> Settings:
        raise error

    monkeypatch.setattr(Chosen, "configured", fail)
    monkeypatch.setattr(systemd, "is_ready", lambda: ready)
    result = run(*service)
    assert result.exit_code == code
    assert ("a restart would not help" in result.output) == (code == 78)


def test_idle_engine_exits_with_code_0(run: Run) -> None:
    result = run("engine", "idle")
    assert (result.exit_code, result.output) == (0, "")


@pytest.mark.parametrize(
    ("market", "order", "code"), [("EQ is in continuous", "", 5), ("", "order a1 is unknown", 6)]
)
def test_exit_code_tells_what_a_restart_would_interrupt(
    run: Run, monkeypatch: pytest.MonkeyPatch, market: str, order: str, code: int
) -> None:
    monkeypatch.setattr(activity, "open_markets", lambda *_: filter(None, [market]))
    monkeypatch.setattr(activity, "requests_under_way", lambda *_: filter(None, [order]))
    result = run("engine", "idle")
    assert (result.exit_code, result.output) == (code, f"{market}{order}\n")


def test_engine_idle_waits_for_requests_under_way(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([["order a1 is unknown"], ["order a1 is submitting"]])
    monkeypatch.setattr(activity, "requests_under_way", lambda *_: next(looks, []))
    result = run("engine", "idle", "--within", "30")
    assert (result.exit_code, result.output) == (0, "")


def machine_elsewhere(directory: Path) -> None:
    with Chosen(directory).writer() as (_, writer):
        elsewhere = Machine("ab" * 16, "elsewhere")
        writer.run(lambda connection: machines.write_owner(connection, elsewhere, clock.now(), "test"))


ADOPT = ("engine", "adopt", "--reason", "moved", "--user", "admin", "--password-stdin")


@pytest.fixture
def _has_machine_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "machine-id"
    file.write_text("00112233445566778899aabbccddeeff\n")
    monkeypatch.setattr(systemd, "MACHINE_ID", file)


@pytest.mark.usefixtures("_has_machine_id")
def test_store_is_adopted_with_an_admins_password_only(run: Run, directory: Path) -> None:
    machine_elsewhere(directory)
    assert isinstance(run(*ADOPT, text="wrong\n").exception, WrongCredentials)
    with Chosen(directory).desk() as desk, desk.database.read() as connection:
        kinds = set(connection.execute(select(events.c.kind)).scalars())
    assert "security.login_failed" in kinds
    assert run("engine", "status").exit_code == 7
    result = run(*ADOPT, "--resume", text=f"{ADMIN_PASSWORD}\n")
    assert (result.exit_code, result.stdout) == (0, "adopted, trading resumed\n")
    assert run("engine", "status").exit_code == 0
    assert "already" in refused(run(*ADOPT, text=f"{ADMIN_PASSWORD}\n"))


@pytest.mark.usefixtures("_has_machine_id")
def test_guessing_the_password_of_adopt_locks_out(run: Run, directory: Path) -> None:
    machine_elsewhere(directory)
    errors = [run(*ADOPT, text="wrong\n").exception for _ in range(30)]
    assert isinstance(errors[-1], LockedOut)
    assert isinstance(run(*ADOPT, text=f"{ADMIN_PASSWORD}\n").exception, LockedOut)


@pytest.mark.usefixtures("_has_machine_id")
def test_store_that_no_engine_has_used_is_not_adopted(run: Run) -> None:
    status = run("engine", "status")
    assert (status.exit_code, status.output.splitlines()[0]) == (0, "store\tunclaimed\tno machine")
    assert "no machine yet" in refused(run(*ADOPT, text=f"{ADMIN_PASSWORD}\n"))


def test_production_refuses_a_machine_without_an_id(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd, "MACHINE_ID", tmp_path / "missing")
    assert this_machine(settings) is None
    algosat = settings.algosat.model_copy(update={"environment": "production"})
    with pytest.raises(ConfigurationError, match="systemd-machine-id-setup"):
        this_machine(settings.model_copy(update={"algosat": algosat}))


def test_broker_is_asked_through_the_engine_only(run: Run) -> None:
    assert "no engine runs" in refused(run("broker", "session"))
    assert "paper" in refused(run("broker", "session", "--account", "nowhere"))
    since = ("--since", "2026-11-30T09:15:00+05:30")
    assert "no engine runs" in refused(run("broker", "candles", "ALPHA-EQ", *since, "--interval", "1d"))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--since", "yesterday"), "'yesterday' is not like"),
        (("--since", "2026-11-30T09:15:00"), "is not like"),
        (("--since", "2026-11-30T09:15:00Z", "--interval", "2m"), "'2m' is none of 1m"),
        (("--since", "2026-11-30T09:15:00Z", "--until", "2026-11-30T09:14:00Z"), "must be after"),
        (("--since", "2020-11-30T09:15:00Z"), "1000 candles of 1m at most"),
    ],
)
def test_wrong_time_or_interval_of_candles_is_named(run: Run, options: tuple[str, ...], problem: str) -> None:
    result = run("broker", "candles", "ALPHA-EQ", *options)
    assert problem in (result.output if result.exit_code == 2 else refused(result))


def test_book_is_adjusted_and_its_differences_are_listed(run: Run, directory: Path) -> None:
    with Chosen(directory).desk() as desk:
        replace_instruments(desk, instruments())
        set_prices(desk)
    adjusted = ("--symbol", "ALPHA-EQ", "--product", "delivery", "--quantity", "5", "--price", "0")
    assert run("book", "adjust", *adjusted, "--reason", "bonus").output.startswith("adjusted (b")
    assert run("book", "adjust", "--cash", "-2.5", "--reason", "charges").exit_code == 0
    assert "other than 0" in refused(run("book", "adjust", "--reason", "nothing"))
    assert run("book", "adjust", "--cash", "x", "--reason", "charges").exit_code == 2
    assert run("book", "compare").output == "requested\n"
    assert run("book", "differences", "--all").output == "not compared\tnever\t-\tholding,order,position\n"


@pytest.mark.sqlite
def test_halt_passes_while_another_process_holds_the_write_lock(
    run: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancel, "EMERGENCY_AFTER", 0.05)
    url = settings.algosat.database.url.get_secret_value()
    with closing(Database(url)) as database, exclusive(database):
        recorded = run("risk", "halt", "--reason", "a drill")
        assert (recorded.exit_code, "emergency journal" in recorded.output) == (0, True)
        assert run("risk", "status").output.splitlines()[0] == "halted"
    assert run("risk", "resume").output == "resumed\n"
    assert run("risk", "status").output == "trading\n"


@pytest.mark.sqlite
def test_halt_passes_while_the_store_cannot_even_be_read(run: Run, directory: Path) -> None:
    store = directory / "data" / "algosat.db"
    whole = store.read_bytes()
    store.write_bytes(b"\0" * 8192)
    recorded = run("risk", "halt", "--reason", "a drill")
    assert (recorded.exit_code, "emergency journal" in recorded.output) == (0, True)
    assert isinstance(run("risk", "halt", "--reason", "x", "--scope", "account:nobody").exception, NotFound)
    store.write_bytes(whole)
    assert run("risk", "status").output.splitlines()[0] == "halted"
    assert run("risk", "resume").output == "resumed\n"


def test_sessions_of_a_user_or_of_everybody_are_ended(run: Run, settings: Settings) -> None:
    database = Database(settings.algosat.database.url.get_secret_value())
    with closing(database), closing(Writer(database)) as writer:
        at = clock.now()
        for number, name in enumerate(("admin", "trader", "viewer")):
            user = writer.run(lambda connection, name=name: users.get(connection, name))  # type: ignore[misc]
            session = Session(str(number), user.id, "", at, at, at + timedelta(days=1), None, "", "")
            writer.run(lambda connection, session=session: sessions.add(connection, session))  # type: ignore[misc]
    assert run("user", "end-sessions", "trader").output == "1 sessions ended\n"
    assert run("user", "end-sessions").output == "2 sessions ended\n"
    assert run("user", "end-sessions").output == "0 sessions ended\n"
    assert "there is no user nobody" in refused(run("user", "end-sessions", "nobody"))
