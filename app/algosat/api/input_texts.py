"""Texts in requests: names written twice and control characters are refused, and the rest is screened."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any, Final, get_args
from urllib.parse import unquote_plus

import structlog
from flask import Request
from pydantic import BaseModel, SecretStr

from algosat.errors import InvalidBody, InvalidJson, InvalidQuery
from algosat.monitoring import metrics
from algosat.security.screening import Suspicion, suspicion, suspicion_of
from algosat.validation_errors import shown

# Control characters other than tabulator and line end, and characters that reverse the direction of a text.
_REFUSED: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# Their forms in a body of JSON.
_MAYBE_REFUSED: Final = re.compile(
    rb"\\[bf]|\\u00[01789]|\\u20[26]|\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]|\xe2\x81[\xa6-\xa9]",
    re.IGNORECASE,
)
# A body, or a path with its query, without these has nothing to screen. An order has none.
_MAYBE_SUSPICIOUS: Final = re.compile(rb"['<>;|&$`()\\%#*=!^~?]|\.\.|--|//|/(?:etc|proc|bin)/|:/")
_OF_ADDRESS: Final = re.compile(r"['\"<>;|$`(){}\[\]\\%#*!^~\n]|\.\.|--|//|/(?:etc|proc|bin)/|:/")

_log = structlog.get_logger(__name__)


def check_body(request: Request, data: bytes, model: type[BaseModel]) -> None:
    """Check a body that is JSON. Raises InvalidJson for a name that appears twice, and InvalidBody."""
    parsed = _DECODER.decode(data.decode())
    if _MAYBE_REFUSED.search(data):
        refused = [place for place, text in _texts(parsed) if _REFUSED.search(text)]
        if refused:
            raise _refused(refused)
    if _MAYBE_SUSPICIOUS.search(data):
        secrets = secret_fields(model)
        texts = (text for place, text in _texts(parsed) if place.rpartition(".")[2] not in secrets)
        _note(request, suspicion_of(texts))


def check_query(values: dict[str, str]) -> None:
    """Raise InvalidQuery if a parameter contains a control character."""
    for name, value in values.items():
        if _REFUSED.search(value) or "\n" in value:
            raise InvalidQuery(f"The parameter {shown(name)} contains a control character: remove it")


def screen_address(request: Request) -> None:
    """Screen path, query and the header that is stored with a login session."""
    query = request.environ.get("QUERY_STRING", "")
    if _OF_ADDRESS.search(request.path) or _OF_ADDRESS.search(query):
        _note(request, suspicion_of((request.path, unquote_plus(query))))
    agent = request.environ.get("HTTP_USER_AGENT")
    if agent:
        _note(request, _of_agent(agent))


_of_agent: Final = lru_cache(maxsize=256)(suspicion)  # a client sends the same one with each request


def _note(request: Request, found: Suspicion | None) -> None:
    """Count and log a suspicion without the text, which may be a secret or an attack on a log viewer."""
    if found is None:
        return
    metrics.SECURITY_EVENTS.labels("screened").inc()
    _log.warning(
        "suspicious_input", score=found.score, attacks=list(found.attacks), address=request.remote_addr
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise InvalidJson(f"The body has the name {shown(twice)} twice in one object: send it once")
    return found


# Numbers stay texts: the model has read them, and a long one would take time.
_DECODER: Final = json.JSONDecoder(object_pairs_hook=_object, parse_int=str, parse_float=str)


def _texts(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield each text of a body with its place: values, and the names of fields."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for name, each in value.items():
            yield place, name
            yield from _texts(each, f"{place}.{name}" if place else name)
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _texts(each, f"{place}.{number}" if place else str(number))


def _refused(places: list[str]) -> InvalidBody:
    detail = "contains a control character, or one that reverses the direction of the text: remove it"
    found = [{"field": shown(place), "detail": detail, "code": "control_character"} for place in places[:50]]
    return InvalidBody(f"{found[0]['field'] or 'body'}: {detail}", errors=found)


@cache
def secret_fields(model: type[BaseModel]) -> frozenset[str]:
    """Return the names of the fields of a model, and of the models in it, that hold secrets."""
    names: set[str] = set()
    for name, field in model.model_fields.items():
        for each in _types(field.annotation):
            if each is SecretStr:
                names.add(field.alias or name)
            elif isinstance(each, type) and issubclass(each, BaseModel):
                names |= secret_fields(each)
    return frozenset(names)


def _types(annotation: Any) -> Iterator[Any]:
    parts = get_args(annotation)
    if not parts:
        yield annotation
    for part in parts:
        yield from _types(part)
