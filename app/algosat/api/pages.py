"""Lists: a page of items, newest first, and the cursor that asks for those after them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AwareDatetime, Field, StringConstraints
from typing_extensions import TypedDict

from algosat.api.request_models import Input

Item = TypeVar("Item")

Symbol = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9&._:-]{0,63}$")]
Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}$")]


class Page(TypedDict, Generic[Item]):
    items: list[Item]
    next_cursor: str | None


class Everything(TypedDict, Generic[Item]):
    """A list that is short by its nature: it comes whole."""

    items: list[Item]
    next_cursor: None


class PageQuery(Input):
    limit: Annotated[int, Field(ge=1, le=1000, description="How many items at most.")] = 100
    cursor: Annotated[
        str | None,
        StringConstraints(pattern=r"^[1-9][0-9]{0,17}$"),
        Field(description="`next_cursor` of the page before."),
    ] = None

    @property
    def after(self) -> int | None:
        return None if self.cursor is None else int(self.cursor)


class TimedQuery(PageQuery):
    since: Annotated[
        AwareDatetime | None, Field(description="Only what came at this time or later, with its zone.")
    ] = None


def page(items: Iterable[Any], next_cursor: int | None) -> dict[str, Any]:
    return {"items": list(items), "next_cursor": None if next_cursor is None else str(next_cursor)}
