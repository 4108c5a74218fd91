"""What the help text of the security metric names is counted, and nothing else is."""

from __future__ import annotations

import re

from algosat.monitoring import metrics
from tests.app.test_imports import SOURCE


def test_security_events_are_those_that_the_metric_names() -> None:
    documentation = metrics.SECURITY_EVENTS._documentation.partition(": ")[2]  # noqa: SLF001
    named = set(re.findall(r"\b[a-z]+(?:_[a-z]+)*\b(?=[,.]| \()", re.sub(r"\([^)]*\)", "(", documentation)))
    text = "".join(path.read_text() for path in SOURCE.rglob("*.py"))
    counted = set(re.findall(r'SECURITY_EVENTS\.labels\("(\w+)"\)', text))
    assert named == counted
