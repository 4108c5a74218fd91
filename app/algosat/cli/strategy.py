"""`algosat strategy`: define, start and stop strategies; run the supervisor and single strategies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from algosat.cli.base import Chosen, operator, refusing, starting, with_directory

if TYPE_CHECKING:
    from algosat.live.definitions import Definition


@click.group()
def command() -> None:
    """Define, start and stop strategies. Each runs in a supervised process of its own."""


@command.command(name="list")
@with_directory
@click.pass_obj
def list_all(chosen: Chosen) -> None:
    """Print one strategy a line: name, class, version, wanted state, actual state, account."""
    from algosat import clock
    from algosat.live import definitions, status

    with chosen.desks() as desks, desks.first.database.read() as connection:
        reported = status.statuses(connection, clock.now())
        for each in definitions.list_all(connection):
            state = status.status_of(each, reported)["state"]
            latest = each.latest
            values = (each.name, latest.class_name, f"v{latest.version}", each.wanted, state, each.account)
            click.echo("\t".join(values))


@command.command()
@click.argument("name")
@with_directory
@click.pass_obj
def show(chosen: Chosen, name: str) -> None:
    """Print one strategy with its parameters and status, as YAML."""
    import yaml

    from algosat import clock
    from algosat.live import definitions, status

    with chosen.desks() as desks, desks.first.database.read() as connection:
        found = definitions.find(connection, name)
        state = status.status_of(found, status.statuses(connection, clock.now()))
    shown = {
        "name": found.name,
        "account": found.account,
        "class": found.latest.class_name,
        "version": found.latest.version,
        "parameters": dict(found.latest.parameters),
        "wanted": str(found.wanted),
        "status": {key: str(value) if key == "state" else value for key, value in state.items()},
        "failure": found.failure,
        "changed": f"{found.changed_at:%Y-%m-%dT%H:%M:%SZ} by {found.changed_by}",
    }
    click.echo(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True).rstrip())


@command.command()
def classes() -> None:
    """Print the strategy classes with their parameters."""
    from algosat.strategies import catalog

    for name, strategy in catalog.CLASSES.items():
        click.echo(name)
        for field, about in strategy.parameters_model.model_fields.items():
            default = "required" if about.is_required() else f"default {about.default}"
            click.echo(f"  {field} ({default}){': ' + about.description if about.description else ''}")


@command.command(name="set")
@click.argument("name")
@click.option("--class", "class_name", required=True, help="See `algosat strategy classes`.")
@click.option("--parameters", required=True, help="YAML or JSON, or @FILE.")
@click.option("--account", metavar="NAME", help="Account to trade on; the first one by default.")
@with_directory
@click.pass_obj
def define(chosen: Chosen, name: str, class_name: str, parameters: str, account: str | None) -> None:
    """Define a strategy, or add a version. A running strategy is restarted with the new version."""
    from algosat.live import manage

    values = parameters_from(parameters)
    with chosen.desks() as desks:
        desk = manage.desk_for(desks, name, account)
        _print(manage.define(desk, name, class_name, values, operator()))


@command.command()
@click.argument("name")
@with_directory
@click.pass_obj
def start(chosen: Chosen, name: str) -> None:
    """Start a strategy. It is started again after a restart of the server."""
    from algosat.live import manage

    with chosen.desk() as desk:
        _print(manage.start(desk, name, operator()))


@command.command()
@click.argument("name")
@with_directory
@click.pass_obj
def stop(chosen: Chosen, name: str) -> None:
    """Stop a strategy. Its orders and positions stay (see `algosat risk halt --scope NAME`)."""
    from algosat.live import manage

    with chosen.desk() as desk:
        _print(manage.stop(desk, name, operator()))


@command.command()
@with_directory
@click.pass_context
def supervise(context: click.Context) -> None:
    """Run the supervisor: keep every started strategy running in its own process."""
    chosen: Chosen = context.obj
    with starting(context):
        settings = chosen.configured("strategies")
        from algosat.config.live import LiveSettings
        from algosat.host.reports import reporting
        from algosat.live import strategy_process, supervisor
        from algosat.monitoring import logs
        from algosat.store import overrides, schema_version
        from algosat.store.leader_lock import leader_lock_of
        from algosat.systemd import call_on_reload, notify, stop_on_signals

        def alive() -> None:
            _ = live.current  # reading the settings notifies their listeners of changes
            notify("WATCHDOG=1")

        with chosen.database() as database:
            schema_version.await_current(database)
        stopping, poll = stop_on_signals(), settings.algosat.engine.poll_seconds
        runtime, data = settings.algosat.runtime_directory, settings.algosat.data_directory
        with reporting(runtime, data), chosen.desk() as desk:
            live = LiveSettings(settings, lambda: overrides.read(desk.database), read=chosen.settings)
            live.on_change(lambda changed: logs.set_level(changed.algosat.logging.level))
            live.on_reload(lambda found: notify(f"STATUS={found}"))
            call_on_reload(live.reload)
            notify("READY=1")
            lead = leader_lock_of(desk.database, "strategies")
            if supervisor.await_lead(lead.acquire, stopping, poll, alive):
                launch, runtime = (
                    strategy_process.launcher(chosen.directory),
                    settings.algosat.runtime_directory,
                )
                supervisor.supervise(desk, launch, lead.fence, runtime, stopping, poll, alive)
                lead.release()


@command.command()
@click.argument("name")
@with_directory
@click.pass_context
def run(context: click.Context, name: str) -> None:
    """Run one strategy in this process. The supervisor uses this command; by hand it is for tests."""
    with refusing(context):
        settings = context.obj.configured(f"strategy-{name}")
        from algosat.config.live import LiveSettings
        from algosat.live import manage, process
        from algosat.live.watchdog_pipe import WatchdogPipe
        from algosat.monitoring import logs
        from algosat.store import overrides
        from algosat.systemd import stop_on_signals

        watchdog, stopping = WatchdogPipe.inherited(), stop_on_signals()
        try:
            with context.obj.database() as database:
                process.await_store(database, watchdog)
            with context.obj.desks() as desks:
                desk = manage.desk_of(desks, name)
                live = LiveSettings(settings, lambda: overrides.read(desk.database))
                live.on_change(lambda changed: logs.set_level(changed.algosat.logging.level))
                process.run(desk, name, live, stopping, watchdog)
        except Exception as error:
            process.report_failure(watchdog, name, error)
            raise


def parameters_from(text: str) -> dict[str, Any]:
    """Return parameters given as YAML, or as @FILE. Raises BadParameter."""
    import yaml

    try:
        content = Path(text[1:]).read_text("utf-8") if text.startswith("@") else text
        values = yaml.safe_load(content)
    except (OSError, yaml.YAMLError) as error:
        raise click.BadParameter(f"cannot be read: {error}", param_hint="--parameters") from error
    if not isinstance(values, dict):
        raise click.BadParameter(
            "give a mapping, for example '{symbols: [ALPHA-EQ], quantity: 10}'", param_hint="--parameters"
        )
    return values


def _print(definition: Definition) -> None:
    click.echo(f"{definition.name}\tv{definition.latest.version}\t{definition.wanted}")
