"""Configuration, store and desk of a command."""

from __future__ import annotations

import getpass
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from algosat import systemd
from algosat.errors import ConfigurationError

if TYPE_CHECKING:
    from algosat.config.settings import Settings
    from algosat.store.audit import Cause
    from algosat.store.database import Database
    from algosat.store.writer import Writer
    from algosat.trading.desk import Desk, Desks

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(slots=True)
class Chosen:
    """The configuration directory, from an option or the environment."""

    directory: Path

    def settings(self) -> Settings:
        from algosat.config.loader import load

        return load(self.directory)

    def configured(self, process: str) -> Settings:
        """Return the settings of a service, with logs and metrics configured by them."""
        settings = self.settings()
        # Before the first import of the metrics, which read their directory once.
        from algosat.monitoring import logs, multiprocess

        multiprocess.share(settings.algosat.runtime_directory)
        logs.configure(settings.algosat.logging, process)
        return settings

    @contextmanager
    def database(self, statement_seconds: int | None = None) -> Iterator[Database]:
        from algosat.store.database import Database

        wanted = self.settings().algosat.database
        database = Database(
            wanted.url.get_secret_value(),
            pool_size=wanted.pool_size,
            max_overflow=wanted.max_overflow,
            statement_seconds=statement_seconds,
        )
        try:
            yield database
        finally:
            database.close()

    @contextmanager
    def writer(self) -> Iterator[tuple[Database, Writer]]:
        """Open the store for reading and writing. Raises ConfigurationError for another schema version."""
        from algosat.store import schema_version
        from algosat.store.database import STATEMENT_SECONDS
        from algosat.store.writer import Writer

        with self.database(STATEMENT_SECONDS) as database:
            schema_version.require_current(database)
            writer = Writer(database)
            try:
                yield database, writer
            finally:
                writer.close()

    @contextmanager
    def desk(self, account: str | None = None) -> Iterator[Desk]:
        """Open the desk of an account; None: of the first. Raises NotFound."""
        with self.desks() as desks:
            yield desks.of(account)

    @contextmanager
    def desks(self) -> Iterator[Desks]:
        from algosat.store.wakeup import backend
        from algosat.trading import desk
        from algosat.trading.emergency_merge import merge_first

        settings = self.settings()
        with (
            self.writer() as (database, writer),
            closing(backend.notifier(database, settings.algosat.runtime_directory)) as notifier,
        ):
            desks = desk.build_all(settings, database, writer, notifier)
            merge_first(desks)
            try:
                yield desks
            finally:
                desks.first.errors.close()


@contextmanager
def refusing(context: click.Context) -> Iterator[None]:
    """Exit with code 78 when the settings or the store are refused, because a restart would not help."""
    try:
        yield
    except ConfigurationError as error:
        _refuse(context, error.detail)


@contextmanager
def starting(context: click.Context) -> Iterator[None]:
    """Exit with code 78 when a service cannot start and a restart would not help.

    Besides what `refusing` covers, these are mistakes in the program and its installation. Once the service
    is ready, such an error ends the process as usual, and systemd starts it again.
    """
    try:
        with refusing(context):
            yield
    except click.exceptions.Exit:
        raise
    except Exception as error:
        if systemd.is_ready() or systemd.restart_may_help(error):
            raise
        traceback.print_exc()
        _refuse(context, "this release cannot start here, and a restart would not help: roll back or deploy")


def _refuse(context: click.Context, message: str) -> NoReturn:
    click.echo(f"algosat: {message}", err=True)
    context.exit(systemd.REFUSED)


def with_directory(function: Function) -> Function:
    """Add the option `--config-dir` to a command."""

    def choose(context: click.Context, _parameter: click.Parameter, value: Path | None) -> None:
        if value is not None:
            context.obj.directory = value

    return click.option(
        "--config-dir",
        type=click.Path(file_okay=False, path_type=Path),
        expose_value=False,
        callback=choose,
        help="Directory of algosat.yaml and security.yaml.",
    )(function)


def with_account(function: Function) -> Function:
    """Add the option `--account` to a command."""
    return click.option("--account", metavar="NAME", help="Account; the first one by default.")(function)


def operator() -> Cause:
    """Return the operating system's user as the cause of a change."""
    from algosat.monitoring import correlation
    from algosat.store.audit import Cause

    return Cause(f"cli:{getpass.getuser()}", correlation.new())
