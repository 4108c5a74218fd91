"""Fixtures of the molecule scenario `alternative`, which sets most variables to non-default values."""

from __future__ import annotations

import pytest

from tests.host.conftest import *  # noqa: F403 - fixtures of an installed server
from tests.host.variables import Variables


@pytest.fixture
def full(variables: Variables) -> None:
    """Skip the test on the server whose optional features are disabled."""
    if not variables["fail2ban_enabled"]:
        pytest.skip("the optional features are disabled on this server")


@pytest.fixture
def minimal(variables: Variables) -> None:
    """Skip the test on the server whose optional features are enabled."""
    if variables["fail2ban_enabled"]:
        pytest.skip("the optional features are enabled on this server")
