"""gunicorn, told everything by the settings: threads, limits on what comes in, and how to end."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any, Final

import gunicorn.http.wsgi
import gunicorn.util
from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker

from algosat.api.protocol_errors import write_problem
from algosat.config.settings import Settings
from algosat.monitoring import multiprocess
from algosat.store.wakeup import unix_socket

_GRACE: Final = 30  # seconds that requests under way have when the service stops
_SILENCE: Final = 60  # seconds after which a worker that shows no life is replaced
_KEEP_ALIVE: Final = 75  # seconds; longer than nginx keeps an idle connection to us


class Server(BaseApplication):  # type: ignore[misc]
    """Serves what `load` makes, once in each worker, so that no thread or connection crosses a fork."""

    def __init__(self, settings: Settings, load: Callable[[], Flask]) -> None:
        self._settings = settings.algosat
        self._load = load
        # gunicorn's own answers to broken requests are HTML, and name it.
        gunicorn.util.write_error = write_problem
        gunicorn.http.wsgi.SERVER = "algosat"
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._configuration().items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        return self._load()

    def _configuration(self) -> dict[str, Any]:
        api = self._settings.api
        return {
            "bind": f"{api.host}:{api.port}",  # unless systemd hands a socket over
            "worker_class": "gthread",
            "workers": api.workers,
            "threads": api.threads,
            "timeout": _SILENCE,
            "graceful_timeout": _GRACE,
            "keepalive": _KEEP_ALIVE,
            "limit_request_line": 4094,
            "limit_request_fields": 50,
            "limit_request_field_size": 8190,
            "worker_tmp_dir": str(self._settings.runtime_directory),  # in memory: a disk may stall
            "reload": api.reload,
            "control_socket_disable": True,
            "logger_class": _Logger,
            "when_ready": _when_ready,
            "child_exit": self._child_exit,
        }

    def _child_exit(self, _server: Arbiter, worker: Worker) -> None:
        multiprocess.forget(worker.pid)
        self._settings.runtime_directory.joinpath(f"{unix_socket.web(worker.pid)}.sock").unlink(
            missing_ok=True
        )


class _Logger(Logger):  # type: ignore[misc]
    """Hands gunicorn's words to our own logging."""

    def setup(self, cfg: Config) -> None:
        super().setup(cfg)
        self.error_log.propagate = True
        for handler in self.error_log.handlers[:]:
            self.error_log.removeHandler(handler)


def _when_ready(_server: Arbiter) -> None:
    # What was loaded before the workers fork stays shared with them: the collector does not touch it.
    gc.collect()
    gc.freeze()
