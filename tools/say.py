"""Console output of a verb: its progress, and the error and remedy when it cannot go on."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Trouble(Exception):
    """An error for the user of a verb; `remedy` says what to do about it."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy


def note(text: str) -> None:
    """Print a line of progress."""
    print(text, flush=True)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Print a title before a piece of work and its duration after it."""
    note(f"==> {text}")
    began = time.monotonic()
    yield
    note(f"    done in {time.monotonic() - began:.0f} s")


def finish(verb: Callable[[], int | None]) -> None:
    """Run a verb and exit: with its own code, 1 after `Trouble`, 130 after Ctrl-C."""
    try:
        sys.exit(verb() or 0)
    except Trouble as trouble:
        print(f"\nerror: {trouble.what}", file=sys.stderr)
        if trouble.remedy:
            print(f"remedy: {trouble.remedy}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\ninterrupted; the same command may be repeated", file=sys.stderr)
        sys.exit(130)
