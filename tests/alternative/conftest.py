"""What only makes sense where most values are others than the defaults: molecule's scenario `alternative`."""

from __future__ import annotations

import pytest

from tests.host.conftest import *  # noqa: F403 - the fixtures of a finished server
from tests.host.told import Told


@pytest.fixture
def much(told: Told) -> None:
    """Only on the server that has everything, and has it otherwise."""
    if not told["fail2ban_enabled"]:
        pytest.skip("this is the server that does without")


@pytest.fixture
def little(told: Told) -> None:
    """Only on the server where what can be off is off."""
    if told["fail2ban_enabled"]:
        pytest.skip("this is the server that has everything")
