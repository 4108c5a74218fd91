"""Lists in responses, and the cursor for the next page of a long list."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Generic, TypeVar

from pydantic import (
    AwareDatetime,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
)

from algosat.api.request_models import Input
from algosat.api.responses import Output

Item = TypeVar("Item")

Symbol = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9&._:-]{0,63}$"), Field(examples=["ALPHA-EQ"])
]
Label = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}$"), Field(examples=["opening-range"])
]


class Page(Output, Generic[Item]):
    """Part of a list, newest first."""

    items: list[Item]
    """The items of this page."""
    next_cursor: str | None
    """`cursor` of the next page; null on the last page."""


class Everything(Output, Generic[Item]):
    """A short list, returned whole."""

    items: list[Item]
    """All items."""
    next_cursor: None
    """Always null: there is no next page."""


class OfAccount(Input):
    """Base of queries and bodies about one account."""

    account: Annotated[Label | None, Field(examples=["paper"])] = None
    """Account; by default the first one. `GET /accounts` lists them."""


class BodyOfAccount(OfAccount):
    """Base of bodies that are compared with those of earlier releases, which do not know accounts."""

    @model_serializer(mode="wrap")
    def _dump(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out an account that is not given, so that keys of requests to earlier releases stay valid."""
        data: dict[str, Any] = dump(self)
        if self.account is None:
            del data["account"]
        return data


class PageQuery(Input):
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    """Largest number of items to return."""
    cursor: Annotated[str | None, StringConstraints(pattern=r"^[1-9][0-9]{0,17}$")] = None
    """`next_cursor` of the previous page."""

    @property
    def after(self) -> int | None:
        """The cursor as a number."""
        return None if self.cursor is None else int(self.cursor)


class TimedQuery(PageQuery):
    since: AwareDatetime | None = None
    """Earliest time, with its UTC offset."""


def page(items: Iterable[Any], next_cursor: int | str | None) -> dict[str, Any]:
    """Return a list in the form of Page or Everything."""
    return {"items": list(items), "next_cursor": None if next_cursor is None else str(next_cursor)}
