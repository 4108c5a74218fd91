"""A fake process of a strategy; the test sets how it behaves."""

from __future__ import annotations


class FakeChild:
    def __init__(self, pid: int = 1) -> None:
        self.pid = pid
        self.failure: str | None = None
        self.pings = True
        self.code: int | None = None
        self.bytes = 1
        self.asked_to_stop = 0
        self.stops = True  # when it is asked to stop
        self.killed = 0

    def has_pinged(self) -> bool:
        return self.pings

    def ended(self) -> int | None:
        return self.code

    def memory(self) -> int:
        return self.bytes

    def ask_to_stop(self) -> None:
        self.asked_to_stop += 1
        if self.stops:
            self.code = 0

    def kill(self) -> None:
        self.killed += 1
        self.code = -9

    def close(self) -> None:
        return


class Children:
    """Launcher that records what it launched."""

    def __init__(self) -> None:
        self.launched: list[FakeChild] = []
        self.names: list[str] = []

    def __call__(self, name: str) -> FakeChild:
        self.names.append(name)
        self.launched.append(FakeChild(len(self.launched) + 1))
        return self.launched[-1]

    @property
    def last(self) -> FakeChild:
        return self.launched[-1]
