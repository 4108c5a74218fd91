"""The types of what is sent and answered."""

from __future__ import annotations

from typing import Final

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
