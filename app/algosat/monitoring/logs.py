"""Log lines: one JSON object each, with the correlation id.

They go to standard output (the journal) and, if set, to one file, which is reopened after a rotation. The
logs of libraries have the same form.
"""

from __future__ import annotations

import logging
import sys
from logging.handlers import WatchedFileHandler
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, Processor

from algosat.config.settings import LoggingSettings
from algosat.errors import ConfigurationError
from algosat.monitoring import correlation


def configure(settings: LoggingSettings, process: str) -> None:
    """Set up the logging of this process. May be called again, also after a fork."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _origin(process),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    formatter = _Once(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(settings)],
    )
    # No line shows these values, so they need not be computed (logging HOWTO, "Optimization").
    logging._srcfile = None  # noqa: SLF001 - as it is documented
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        handler.close()
    for handler in _handlers(settings):
        handler.setFormatter(formatter)
        root.addHandler(handler)
    set_level(settings.level)


def set_level(level: str) -> None:
    logging.getLogger().setLevel(level)


def _handlers(settings: LoggingSettings) -> list[logging.Handler]:
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)]
    if settings.file is not None:
        try:
            handlers.append(WatchedFileHandler(settings.file, encoding="utf-8"))
        except OSError as error:
            raise ConfigurationError(
                f"logging.file: {settings.file} cannot be written ({error.strerror}); "
                "let the service's user write to its directory, or set the file to null"
            ) from error
    return handlers


class _Once(structlog.stdlib.ProcessorFormatter):
    """Renders a record once for all handlers: rendering costs more than writing."""

    def format(self, record: logging.LogRecord) -> str:
        line: str | None = getattr(record, "line", None)
        if line is None:
            line = record.line = super().format(record)
        return line


def _origin(process: str) -> Processor:
    """Adds the process and the correlation id."""

    def add(_logger: Any, _method: str, event: EventDict) -> EventDict:
        event.setdefault("process", process)
        event.setdefault("correlation_id", correlation.current.get())
        return event

    return add


def _renderer(settings: LoggingSettings) -> Processor:
    if settings.format == "text":
        return structlog.dev.ConsoleRenderer(
            colors=False,
            # The other formatters print local variables, which may include tokens.
            exception_formatter=structlog.dev.plain_traceback,
        )
    return structlog.processors.JSONRenderer(serializer=_to_json)


def _to_json(event: dict[str, Any], **_: Any) -> str:
    # Secret types render as the mask.
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
