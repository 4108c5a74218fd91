"""Output of commands without what a terminal would execute: names and reasons come from other people."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TextIO

# Control characters but for tabulator and line end, and characters that reverse the direction of a text.
_DANGEROUS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def escaped(text: str) -> str:
    """Return the text with dangerous characters written as `\\x1b`."""
    return _DANGEROUS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def row(*values: object) -> str:
    """Return values separated by tabs. A line end or tab in a value is escaped, so that it forges no row."""
    return "\t".join(str(each).replace("\n", "\\n").replace("\t", "\\t") for each in values)


class _Escaping:
    """A text stream that escapes what is written to it, and is otherwise the stream that it wraps."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(escaped(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def escaping() -> Iterator[None]:
    """Escape everything that is written to standard output and standard error as text."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_Escaping(stream) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
