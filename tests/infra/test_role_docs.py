"""The README of each role matches its argument specs and defaults."""

import pytest

from tests.infra.rendering import ROLES
from tools.role_docs import page, roles, text


def test_every_role_is_documented() -> None:
    assert set(roles()) == set(ROLES)


@pytest.mark.parametrize("role", ROLES)
def test_readme_matches_the_specs(role: str) -> None:
    assert page(role).read_text() == text(role), "run `python -m tools.role_docs`"
