"""Every role's README is what its specs and defaults say."""

import pytest

from tests.infra.rendering import ROLES
from tools.role_docs import page, roles, text


def test_every_role_is_documented() -> None:
    assert set(roles()) == set(ROLES)


@pytest.mark.parametrize("role", ROLES)
def test_page_agrees_with_the_specs(role: str) -> None:
    assert page(role).read_text() == text(role), "run `python -m tools.role_docs`"
