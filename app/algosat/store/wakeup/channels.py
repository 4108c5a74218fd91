"""Wake-up channels: their names, and the protocols of a listener and a notifier.

A signal only says that something was committed. A lost signal costs latency, never an order: every
listener also polls.
"""

from __future__ import annotations

import os
from typing import Final, Protocol

ENGINE: Final = "engine"  # of the first account
ENGINE_REQUESTS: Final = "engine-requests"
WEB_PREFIX: Final = "web-"  # followed by the process id of a web worker
LONGEST_MESSAGE: Final = 256  # bytes; longer messages are cut off


def web(pid: int | None = None) -> str:
    """Return the channel of one web worker, by default of this process."""
    return f"{WEB_PREFIX}{pid or os.getpid()}"


def engine(account: str, *, is_first: bool) -> str:
    """Return the channel of the engine's lane for an account."""
    return ENGINE if is_first else f"{ENGINE}.{account}"


class Listener(Protocol):
    """The receiving end of one channel."""

    def wait(self, seconds: float) -> list[str]:
        """Return the messages received, waiting at most `seconds` for the first; empty if there are none."""

    def close(self) -> None: ...


class Notifier(Protocol):
    """Sends to any channel. Thread-safe; a message that cannot be delivered is dropped without an error."""

    def notify(self, channel: str, message: str = "") -> None: ...

    def notify_web(self, message: str) -> None:
        """Send a message to every web worker."""

    def close(self) -> None: ...
