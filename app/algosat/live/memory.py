"""How much memory a strategy's process may take."""

from __future__ import annotations

import resource

import psutil
import structlog

_log = structlog.get_logger(__name__)


def limit_memory(megabytes: int) -> None:
    """Refuse this process more memory than it has now and this: the strategy gets a MemoryError then."""
    most = psutil.Process().memory_info().vms + megabytes * 2**20
    try:
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    except (OSError, ValueError) as error:  # the supervisor watches the memory, too
        _log.warning("memory_not_limited", reason=str(error))
