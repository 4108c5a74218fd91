"""Request bodies and queries, parsed strictly into models, or refused with every invalid field."""

from __future__ import annotations

import sys
from typing import ClassVar, TypeVar

from flask import Request
from pydantic import BaseModel, ConfigDict, ValidationError
from werkzeug.exceptions import RequestEntityTooLarge

from algosat.api.input_texts import check_body, check_query
from algosat.api.responses import JSON
from algosat.errors import InvalidBody, InvalidJson, InvalidQuery, InvalidRequest, UnsupportedMediaType
from algosat.validation_errors import findings, sentence, shown

Model = TypeVar("Model", bound="Input")


class Input(BaseModel):
    """Base of models for bodies and queries: no unknown fields, no type coercion, no NaN."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )


def body_of(request: Request, model: type[Model], *, optional: bool) -> Model:
    """Return the body as its model.

    Raises UnsupportedMediaType, InvalidJson, or InvalidBody with every finding.
    """
    data = _read(request)
    if not data and optional:
        return model()
    # Comparing first saves the time that `mimetype` takes to parse the header.
    if request.environ.get("CONTENT_TYPE") != JSON and request.mimetype != JSON:
        raise UnsupportedMediaType("Send the body as JSON, with `Content-Type: application/json`")
    try:
        parsed = model.model_validate_json(data, strict=True)
    except ValidationError as error:
        found = findings(error, model)
        if found[0]["code"] == "json_invalid":
            raise InvalidJson(f"The body is not JSON: {found[0]['detail']}") from None
        check_body(request, data, model)
        raise InvalidBody(sentence(found), errors=found) from None
    check_body(request, data, model)
    return parsed


def _read(request: Request) -> bytes:
    length = request.content_length
    if length is not None:  # the hook before the request has checked the length
        data: bytes = request.environ["wsgi.input"].read(length)
        if len(data) < length:
            raise InvalidRequest("The body ends before its stated length")
        return data
    data = request.get_data(cache=False)
    # Without a stated length Werkzeug cuts the body off at the limit and raises nothing.
    if len(data) >= (request.max_content_length or sys.maxsize):
        raise RequestEntityTooLarge
    return data


def query_of(request: Request, model: type[Model] | None) -> Model | None:
    """Return the query as its model. Raises InvalidQuery if a parameter is unknown, repeated or invalid."""
    if model is None and not request.query_string:
        return None
    values: dict[str, str] = {}
    for name, value in request.args.items(multi=True):
        if name in values:
            raise InvalidQuery(f"The parameter {shown(name)} appears twice")
        values[name] = value
    check_query(values)
    if model is None:
        raise InvalidQuery("This route takes no parameters")
    try:
        return model.model_validate_strings(values)
    except ValidationError as error:
        found = findings(error, model)
        raise InvalidQuery(sentence(found), errors=found) from None
