"""The problem codes that a route can answer with, from its declaration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from algosat.api.access import Access
from algosat.api.request_models import Input
from algosat.api.routes import Route
from algosat.domain.conversion import ConversionCode
from algosat.domain.reason_codes import Code
from algosat.domain.risk import DenialCode
from algosat.errors import (
    AlgosatError,
    BodyTooLarge,
    ConversionRefused,
    Denied,
    Forbidden,
    InvalidBody,
    InvalidJson,
    InvalidQuery,
    InvalidRequest,
    NotFound,
    Overloaded,
    StoreBusy,
    StoreFull,
    StoreReadOnly,
    TooManyRequests,
    Unauthenticated,
    UnsupportedMediaType,
)

# Errors of every route, of routes with a body, and of routes that check the caller.
_ALWAYS: Final = (
    InvalidQuery,
    TooManyRequests,
    AlgosatError,
    StoreBusy,
    Overloaded,
    StoreFull,
    StoreReadOnly,
)
_WITH_BODY: Final = (InvalidJson, InvalidRequest, BodyTooLarge, UnsupportedMediaType, InvalidBody)
_WITH_ACCESS: Final = (Unauthenticated, Forbidden)
# Errors that report one of several codes.
_WITH_CODES: Final[Mapping[type[AlgosatError], type[Code]]] = {
    Denied: DenialCode,
    ConversionRefused: ConversionCode,
}


@dataclass(frozen=True, slots=True)
class ProblemCode:
    """A problem code with its title and its meaning as a sentence."""

    code: str
    title: str
    meaning: str


def problem_codes(route: Route) -> dict[int, list[ProblemCode]]:
    """Return the problem codes of a route, by status."""
    errors: list[type[AlgosatError]] = [*_ALWAYS, *route.errors]
    if route.body is not None:
        errors += _WITH_BODY
    if route.parameters or any("account" in model.model_fields for model in _inputs(route)):
        errors.append(NotFound)
    if route.access is not Access.PUBLIC:
        errors += _WITH_ACCESS
    errors += (error for header in route.headers for error in header.errors)
    found: dict[int, list[ProblemCode]] = {}
    for error in dict.fromkeys(errors):
        found.setdefault(error.status, []).extend(_codes_of(error))
    return found


def _inputs(route: Route) -> list[type[Input]]:
    return [model for model in (route.query, route.body) if model is not None]


def _codes_of(error: type[AlgosatError]) -> list[ProblemCode]:
    codes = next((codes for each, codes in _WITH_CODES.items() if issubclass(error, each)), None)
    if codes is not None:
        return [ProblemCode(code.value, error.title, code.help_text) for code in codes]
    return [ProblemCode(error.code, error.title, f"{error.title}.")]
