"""Codes that bring the words which the API's documentation gives them."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Code(StrEnum):
    """Each member is its code and, beside it, its help text."""

    help_text: str

    def __new__(cls, value: str, help_text: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.help_text = help_text
        return member
