"""Evaluation of the health response of a release."""

from __future__ import annotations

import pytest

from algosat_release import health


@pytest.mark.parametrize(
    ("status", "body", "complaint"),
    [
        (200, {"status": "healthy", "components": {"database": True, "engine": True}}, None),
        (200, {"status": "degraded", "components": {"database": True, "vps": False}}, None),
        (200, {"status": "degraded", "components": {"database": True, "engine": False}}, "engine as broken"),
        (503, {"status": "unhealthy"}, "answered 503"),
        (200, ["healthy"], "something other than a JSON object"),
    ],
)
def test_health_response_is_evaluated(status: int, body: object, complaint: str | None) -> None:
    found = health.problem_in(status, body)
    assert (found is None) if complaint is None else (found is not None and complaint in found)
