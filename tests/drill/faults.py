"""The faults: how each is injected and lifted, which alert names it, and whether it stops exits."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.drill.server import Server

Script = str
Action = Callable[[Server], None]
FAULTS_FILE: Final = "/run/drill/faults.json"
STORE: Final = "/var/lib/algosat/database/algosat.db"
DISK: Final = "/var/lib/algosat"
FAKETIME: Final = "/run/drill/faketime"
_MAIN: Final = "$(systemctl show --property=MainPID --value {unit})"


@dataclass(frozen=True)
class Fault:
    """A fault of the server, the broker or the machine."""

    name: str
    alerts: frozenset[str]  # one of them names it: ALERT or ALERT:COMPONENT
    inject: Action
    lift: Action
    stops_exits: bool = False

    @property
    def told_within(self) -> float:
        """Seconds after which a person must have been told."""
        return 15 if self.stops_exits else 60


def _running(script: Script) -> Action:
    def run(server: Server) -> None:
        server.run(script)

    return run


def _signal(unit: str, name: str, whom: str) -> Script:
    """Return a script that signals the main process of a unit, or its children: the workers."""
    main = _MAIN.format(unit=unit)
    return f"kill -{name} {main}" if whom == "main" else f"pkill -{name} --parent {main}"


def _stopped(unit: str, whom: str = "main") -> tuple[Action, Action]:
    """Suspend processes. systemd or their parent may have replaced them when the fault is lifted."""
    go_on = f"{_signal(unit, 'CONT', whom)} || true"
    return _running(_signal(unit, "STOP", whom)), _running(go_on)


def _broker(delay_seconds: float = 0.2, **rates: float) -> tuple[Action, Action]:
    plan = json.dumps({"rates": rates, "delay_seconds": delay_seconds})
    write = f"echo {shlex.quote(plan)} >{FAULTS_FILE}.new && mv {FAULTS_FILE}.new {FAULTS_FILE}"
    return _running(write), _running(f"rm -f {FAULTS_FILE}")


def _while_running(program: str, *, as_user: str = "algosat") -> tuple[Action, Action]:
    """Run a program in Python for as long as the fault lasts."""
    start = (
        "systemd-run --quiet --collect --unit=drill-fault --property=User="
        f"{as_user} --property=LimitNOFILE=65536 python3 -c {shlex.quote(program)}"
    )
    return _running(start), _running("systemctl stop drill-fault.service || true")


def _clock(seconds: int) -> tuple[Action, Action]:
    """Set the clock that API and engine see."""
    return _running(f"echo '{seconds:+d}' >{FAKETIME}"), _running(f"echo '+0' >{FAKETIME}")


_LOCK = f"""
import sqlite3, time
store = sqlite3.connect("{STORE}", isolation_level=None, timeout=30)
store.execute("BEGIN IMMEDIATE")
time.sleep(20)
"""
# The log grows by what is written while the reading is open: more than an hour of trading.
_PIN = f"""
import sqlite3, time
reader = sqlite3.connect("{STORE}", isolation_level=None, timeout=30)
reader.execute("BEGIN")
reader.execute("SELECT count(*) FROM events").fetchone()
writer = sqlite3.connect("{STORE}", isolation_level=None, timeout=30)
writer.execute("CREATE TABLE IF NOT EXISTS drill (filler BLOB)")
for _ in range(160):
    writer.execute("INSERT INTO drill VALUES (zeroblob(1000000))")
    time.sleep(0.05)
writer.execute("DROP TABLE drill")
time.sleep(600)
"""
_FORKS = """
import os, time
for _ in range(1000):
    try:
        if os.fork() == 0:
            time.sleep(600)
            os._exit(0)
    except OSError:
        pass
    time.sleep(0.002)
time.sleep(600)
"""


def _join_strategies(program: str) -> Script:
    """Run a program among the strategies: under their limits, and ended with them."""
    group = "/sys/fs/cgroup$(systemctl show --property=ControlGroup --value algosat-strategies)/cgroup.procs"
    return f"python3 -c {shlex.quote(program)} >/dev/null 2>&1 </dev/null & echo $! >{group}"


_FILL = f"""
sqlite3 {STORE} 'PRAGMA wal_checkpoint(TRUNCATE)' || true
dd if=/dev/zero of={DISK}/filler bs=64k 2>/dev/null || true
"""
_REDIS = (_running("systemctl stop redis-server"), _running("systemctl start redis-server"))
# Processes that run keep files open that they may write to: only those that start anew meet the permissions.
_READ_ONLY = (
    _running(
        f"chmod --recursive a-w {STORE.rpartition('/')[0]}\n"
        f"{_signal('algosat-engine', 'KILL', 'main')}; {_signal('algosat', 'KILL', 'workers')}"
    ),
    _running(f"chmod --recursive u+w {STORE.rpartition('/')[0]}"),
)
_FULL = (_running(_FILL), _running(f"rm -f {DISK}/filler"))


def _killed(unit: str, whom: str) -> tuple[Action, Action]:
    return _running(_signal(unit, "KILL", whom)), _running("true")


def _descriptors(limit: Script) -> Action:
    """Set the limit of open files of API and engine; `limit` may use $pid."""
    return _running(
        "for unit in algosat algosat-engine; do\n"
        "    main=$(systemctl show --property=MainPID --value $unit)\n"
        f"    for pid in $main $(pgrep --parent $main); do prlimit --pid $pid --nofile={limit}; done\n"
        "done"
    )


def _memory(most: str) -> Action:
    return _running(f"systemctl set-property --runtime algosat.service MemoryMax={most} MemorySwapMax={most}")


def _fault(name: str, actions: tuple[Action, Action], alerts: str, *, stops_exits: bool = False) -> Fault:
    return Fault(name, frozenset(alerts.split()), *actions, stops_exits=stops_exits)


_ENGINE = "EngineSilent VitalComponentFailed UnitRestarts"
_STORE = "StoreNotWritten StoreRefuses VitalComponentFailed EngineSilent"
_BROKER = "BrokerCallsHeldBack OrdersHeldBack OrdersUnknown OrdersRefused"
FAULTS: Final = (
    _fault("engine killed", _killed("algosat-engine", "main"), _ENGINE, stops_exits=True),
    _fault("engine hung", _stopped("algosat-engine"), _ENGINE, stops_exits=True),
    _fault("readings hang", _broker(120, read_late=1), "EngineDutyLate BookNotRead BrokerCallsHeldBack"),
    _fault("workers killed", _killed("algosat", "workers"), "WorkersDied"),
    _fault("workers hung", _stopped("algosat", "workers"), "ApiDown", stops_exits=True),
    _fault("gunicorn's master hung", _stopped("algosat"), "UnitRestarts ApiDown"),
    _fault("Redis stopped", _REDIS, "ComponentFailed:rate_limit UnitDown"),
    _fault("Redis hung", _stopped("redis-server"), "ComponentFailed:rate_limit"),
    _fault("disk full", _FULL, f"DiskFull {_STORE}", stops_exits=True),
    _fault("store locked", _while_running(_LOCK), _STORE, stops_exits=True),
    _fault("store read-only", _READ_ONLY, _STORE, stops_exits=True),
    _fault("write-ahead log pinned", _while_running(_PIN), "StoreLogLarge"),
    _fault("broker times out", _broker(lost=1), _BROKER, stops_exits=True),
    _fault("broker away", _broker(down=1), f"{_BROKER} ComponentFailed:broker FeedDown", stops_exits=True),
    _fault("broker refuses", _broker(rejected=1), "OrdersRejected"),
    _fault("broker limits", _broker(rate_limited=1), f"{_BROKER} ComponentFailed:broker", stops_exits=True),
    _fault(
        "broker session ended",
        _broker(session_expired=1),
        f"{_BROKER} ComponentFailed:broker",
        stops_exits=True,
    ),
    _fault("broker hangs", _broker(60, answered_late=1), f"{_BROKER} OrderNotSent", stops_exits=True),
    _fault("quotes silent", _broker(silent=1), "QuotesOld FeedDown"),
    *(
        _fault(f"clock {seconds:+d} s", _clock(seconds), "ClockWrong", stops_exits=True)
        for seconds in (40, -40, 600, -600, 3600, -3600)
    ),
    _fault(
        "descriptors exhausted",
        (_descriptors("$(ls /proc/$pid/fd | wc -l):65536"), _descriptors("65536:65536")),
        "ApiDown VitalComponentFailed ErrorsRising RequestsFailing EngineSilent FilesShort",
    ),
    _fault(
        "memory exhausted",
        (_memory("90M"), _memory("infinity")),
        "UnitRestarts OutOfMemory ApiDown WorkersDied MemoryShort",
    ),
    _fault(
        "strategies fork",
        (_running(_join_strategies(_FORKS)), _running("pkill --full '[o]s.fork' || true")),
        "ProcessThreadsMany UnitDown",
    ),
)
