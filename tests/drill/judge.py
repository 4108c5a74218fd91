"""What was wrong during a fault and after it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from tests.drill.traffic import Answer

_MOST_STARTS: Final = 4  # of all services: more is a loop


@dataclass(frozen=True)
class Record:
    """What was seen of a fault."""

    name: str
    told_within: float  # seconds that were permitted
    told_after: float | None
    told_by: str
    answers: Sequence[Answer]
    acknowledged: AbstractSet[str]  # ids of orders that a client was given
    stored: AbstractSet[str]  # ids of orders that the server has
    changed_keys: int
    exit_after: (
        float | None
    )  # seconds after which the position was flat, counted from the request or the lifting
    is_halted: bool
    healthy_after: float | None
    starts: int
    proof: str  # what `algosat store verify` says; empty if nothing is wrong


def findings(record: Record) -> Iterator[str]:
    """Yield what must not be."""
    if record.told_after is None or record.told_after > record.told_within:
        told = "never" if record.told_after is None else f"after {record.told_after:.0f} s"
        yield f"a person was told {told}, at most {record.told_within:.0f} s are permitted"
    yield from _of_answers(record.answers)
    if lost := record.acknowledged - record.stored:
        yield f"lost: {len(lost)} acknowledged orders, such as {min(lost)}"
    if doubled := record.stored - record.acknowledged:
        yield f"unknown to any client: {len(doubled)} orders, such as {min(doubled)}"
    if record.changed_keys:
        yield f"{record.changed_keys} repeats were answered with another order"
    if record.exit_after is None:
        yield "the position was not closed"
    if not record.is_halted:
        yield "trading was not halted"
    if record.healthy_after is None:
        yield "not healthy by itself afterwards"
    if record.starts > _MOST_STARTS:
        yield f"{record.starts} starts of services: a restart loop"
    if record.proof:
        yield f"store verify: {record.proof}"


def _of_answers(answers: Sequence[Answer]) -> Iterator[str]:
    bare = [it for it in answers if it.status >= 500 and not it.is_problem]
    if bare:
        yield f"{len(bare)} answers of {bare[0].status} without a problem document: {bare[0].path}"
    silent = [it for it in answers if it.status == 503 and it.retry_after is None]
    if silent:
        example = f"{silent[0].path} {silent[0].body.get('code')}"
        yield f"{len(silent)} answers of 503 without Retry-After, such as {example}"
