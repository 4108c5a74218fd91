"""The gunicorn server: its settings, hooks, and its answers to requests that are not valid HTTP."""

from __future__ import annotations

import gc
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import gunicorn.http.wsgi
import gunicorn.util
import orjson
import structlog
from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.util import write_nonblock
from gunicorn.workers.base import Worker
from gunicorn.workers.gthread import TConn, ThreadWorker

from algosat.api.context import NAME
from algosat.api.responses import PROBLEM
from algosat.config.live import LiveSettings
from algosat.monitoring import correlation, multiprocess
from algosat.store.wakeup import channels
from algosat.systemd import REFUSED, notify, restart_may_help

_GRACE: Final = 30  # seconds for requests under way when the service stops
_SILENCE: Final = 60  # seconds without a heartbeat after which a worker is replaced
_FIRST_BYTES: Final = 10  # seconds for the first bytes of a new connection
_KEEP_ALIVE: Final = 75  # seconds; longer than nginx keeps an idle connection open

_log = structlog.get_logger(__name__)


class Server(BaseApplication):  # type: ignore[misc]
    """A gunicorn server. Each worker calls `load` once, after the fork, for its application.

    SIGHUP reloads the settings `live` of the master process, with which later workers start, and those of the
    workers. gunicorn itself would start new workers with the settings of the master process.
    """

    def __init__(self, live: LiveSettings, load: Callable[[], Flask]) -> None:
        self._settings = live.files.algosat
        self._live = live
        live.on_reload(lambda found: notify(f"STATUS={found}"))
        self._load = load
        # gunicorn's own answers to malformed requests are HTML and name gunicorn.
        gunicorn.util.write_error = _write_problem
        gunicorn.http.wsgi.SERVER = "algosat"
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._configuration().items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Return the application of a worker. If it cannot be built, the worker and the server exit."""
        try:
            return self._load()
        except Exception as error:
            if restart_may_help(error):
                raise
            _log.exception("worker_cannot_start")
            sys.exit(Arbiter.APP_LOAD_ERROR)

    def run(self) -> None:
        """Serve until a signal ends the server. Exits the process."""
        _Arbiter(self).run()

    def reload(self) -> None:
        """Reload the settings of the master process."""
        self._live.reload()
        _ = self._live.current

    def _configuration(self) -> dict[str, Any]:
        api = self._settings.api
        return {
            "bind": f"{api.host}:{api.port}",  # ignored when systemd passes a socket
            "worker_class": _Worker,
            "workers": api.workers,
            "threads": api.threads,
            "timeout": _SILENCE,
            "graceful_timeout": _GRACE,
            "keepalive": _KEEP_ALIVE,
            "limit_request_line": 4094,
            "limit_request_fields": 50,
            "limit_request_field_size": 8190,
            "worker_tmp_dir": str(self._settings.runtime_directory),  # in memory, because a disk can stall
            "reload": api.reload,
            "control_socket_disable": True,
            "logger_class": _Logger,
            "when_ready": _when_ready,
            "child_exit": self._child_exit,
        }

    def _child_exit(self, server: _Arbiter, worker: Worker) -> None:
        if not server.is_stopping:
            from algosat.monitoring.metrics import WORKER_EXITS

            WORKER_EXITS.inc()
        multiprocess.fold()
        self._settings.runtime_directory.joinpath(f"{channels.web(worker.pid)}.sock").unlink(missing_ok=True)


class _Arbiter(Arbiter):  # type: ignore[misc]
    """gunicorn's master process. systemd restarts the service if its loop stands still."""

    is_stopping = False

    def manage_workers(self) -> None:
        super().manage_workers()  # called in each round of the loop, about once a second
        notify("WATCHDOG=1")

    def reload(self) -> None:
        self.app.reload()
        self.kill_workers(signal.SIGHUP)

    def stop(self, graceful: bool = True) -> None:
        self.is_stopping = True
        notify("STOPPING=1")
        super().stop(graceful)

    def halt(self, reason: str | None = None, exit_status: int = 0) -> None:
        super().halt(reason, REFUSED if exit_status == self.APP_LOAD_ERROR else exit_status)


class _Worker(ThreadWorker):  # type: ignore[misc]
    """A worker that reloads its settings on SIGHUP, also on one received while it starts.

    Its threads are for requests: a connection that has sent nothing waits without one.
    """

    _reload_asked = False

    def init_signals(self) -> None:
        super().init_signals()
        signal.signal(signal.SIGHUP, self._reload)

    def enqueue_req(self, conn: TConn) -> None:
        """Give a connection to a thread once its first bytes have arrived.

        gunicorn itself lets a thread wait five seconds for them, so that a few idle connections take all.
        """
        if conn.initialized or conn.data_ready or _has_sent(conn.sock):
            super().enqueue_req(conn)
            return
        conn.timeout = time.monotonic() + _FIRST_BYTES
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def load_wsgi(self) -> None:
        super().load_wsgi()
        if self._reload_asked:
            self._reload()

    def _reload(self, *_signal: object) -> None:
        self._reload_asked = True
        app = getattr(self, "wsgi", None)  # absent until it is loaded
        if isinstance(app, Flask) and NAME in app.extensions:
            app.extensions[NAME].live.reload()


def _has_sent(client: socket.socket) -> bool:
    """Return whether the client has sent something, or has gone."""
    client.settimeout(0)
    try:
        client.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


class _Logger(Logger):  # type: ignore[misc]
    """A logger that passes gunicorn's messages to the application's logging."""

    def setup(self, cfg: Config) -> None:
        super().setup(cfg)
        self.error_log.propagate = True
        for handler in self.error_log.handlers[:]:
            self.error_log.removeHandler(handler)


def _when_ready(_server: Arbiter) -> None:
    # Objects made before the fork stay in memory that the workers share, because the collector skips them.
    gc.collect()
    gc.freeze()


def _write_problem(client: socket.socket, status: int, reason: str, _message: str) -> None:
    """Write the response to a request that is not valid HTTP, in place of gunicorn.util.write_error.

    The message is left out, because it repeats parts of the request.
    """
    code = "invalid_request" if status == HTTPStatus.BAD_REQUEST else f"http_{status}"
    body = orjson.dumps(
        {
            "type": f"urn:algosat:error:{code}",
            "title": reason.capitalize(),
            "status": status,
            "detail": "The request is not well-formed HTTP, or exceeds the limits of this server",
            "code": code,
            "correlation_id": correlation.new(),
            "errors": [],
        }
    )
    head = (
        f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: {PROBLEM}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    write_nonblock(client, head.encode("latin-1") + body)
