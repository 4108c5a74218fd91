"""Calls in threads of their own, so that the caller does not wait for one that hangs."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from typing import NoReturn, TypeVar

T = TypeVar("T")


class CallHung(Exception):
    """The call has not ended in time. Its thread goes on."""


class NoThreadFree(Exception):
    """All threads are taken by calls that have not ended. The call was not made."""


class TimedCalls:
    """Makes calls in daemon threads, and gives up waiting for one after a while.

    A thread that was given up counts until its call ends: no more than `threads` can hang.
    """

    def __init__(self, name: str, *, threads: int) -> None:
        self._name = name
        self._free = threading.BoundedSemaphore(threads)

    def call(self, request: Callable[[], T], *, within: float) -> T:
        """Return what the call returns, or raise what it raises.

        Raises:
            CallHung: It has not ended within this number of seconds.
            NoThreadFree: It was not made.
        """
        if not self._free.acquire(blocking=False):
            raise NoThreadFree(self._name)
        outcomes: SimpleQueue[Callable[[], T]] = SimpleQueue()
        context = contextvars.copy_context()
        try:
            threading.Thread(
                target=lambda: outcomes.put(self._made(context, request)), name=self._name, daemon=True
            ).start()
        except RuntimeError as error:  # the process may have no more threads: the call was not made
            self._free.release()
            raise NoThreadFree(self._name) from error
        try:
            outcome = outcomes.get(timeout=within)
        except Empty:
            raise CallHung(self._name) from None
        return outcome()

    def _made(self, context: contextvars.Context, request: Callable[[], T]) -> Callable[[], T]:
        """Make the call. Return a function that returns its result, or raises its error."""
        try:
            result = context.run(request)
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            return partial(_raise, error)
        else:
            return lambda: result
        finally:
            self._free.release()


def _raise(error: BaseException) -> NoReturn:
    raise error
