"""What the commands share: the configuration they were pointed at, and the store behind it."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from algosat.errors import ConfigurationError

if TYPE_CHECKING:
    from algosat.config.settings import Settings
    from algosat.store.audit import Cause
    from algosat.store.database import Database
    from algosat.store.writer import Writer
    from algosat.trading.desk import Desk

Function = TypeVar("Function", bound=Callable[..., Any])

_REFUSED: Final = 78  # EX_CONFIG: systemd must not start it again and again


@dataclass(slots=True)
class Chosen:
    """The configuration directory, however it was named."""

    directory: Path

    def settings(self) -> Settings:
        from algosat.config.loader import load

        return load(self.directory)

    def configured(self, process: str) -> Settings:
        """The settings of a process that goes on, its log and metrics as they say."""
        settings = self.settings()
        # Before anything imports the metrics: they look once where to write.
        from algosat.monitoring import logs, multiprocess

        multiprocess.share(settings.algosat.runtime_directory)
        logs.configure(settings.algosat.logging, process)
        return settings

    @contextmanager
    def database(self) -> Iterator[Database]:
        from algosat.store.database import Database

        wanted = self.settings().algosat.database
        database = Database(
            wanted.url.get_secret_value(), pool_size=wanted.pool_size, max_overflow=wanted.max_overflow
        )
        try:
            yield database
        finally:
            database.close()

    @contextmanager
    def writer(self) -> Iterator[tuple[Database, Writer]]:
        """The store, at this release's version, and the way to change it."""
        from algosat.store import schema_version
        from algosat.store.writer import Writer

        with self.database() as database:
            schema_version.require_current(database)
            writer = Writer(database)
            try:
                yield database, writer
            finally:
                writer.close()

    @contextmanager
    def desk(self) -> Iterator[Desk]:
        from algosat.store.wakeup import backend
        from algosat.trading import desk

        settings = self.settings()
        with (
            self.writer() as (database, writer),
            closing(backend.notifier(database, settings.algosat.runtime_directory)) as notifier,
        ):
            yield desk.build(settings, database, writer, notifier)


@contextmanager
def refusing(context: click.Context) -> Iterator[None]:
    """Ends with a code of its own where settings or store do not fit: starting again would not mend them."""
    try:
        yield
    except ConfigurationError as error:
        click.echo(f"algosat: {error.detail}", err=True)
        context.exit(_REFUSED)


def with_directory(function: Function) -> Function:
    """Lets a command take `--config-dir` at its own end too."""

    def choose(context: click.Context, _parameter: click.Parameter, value: Path | None) -> None:
        if value is not None:
            context.obj.directory = value

    return click.option(
        "--config-dir",
        type=click.Path(file_okay=False, path_type=Path),
        expose_value=False,
        callback=choose,
        help="Where algosat.yaml and security.yaml lie.",
    )(function)


def operator() -> Cause:
    """Who sits at the command line."""
    from algosat.monitoring import correlation
    from algosat.store.audit import Cause

    return Cause(f"cli:{getpass.getuser()}", correlation.new())
