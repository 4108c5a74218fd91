"""README.md of every role: its generated parts are current, its sections complete."""

import re

import pytest

from tests.infra.rendering import ROLES
from tools.paths import ROOT
from tools.role_docs import page, roles, text

UNDER_THE_SWITCH = {
    file.parts[-3]
    for file in (ROOT / "roles").glob("*/tasks/*.yml")
    if re.search(r"^ *name: deadman$", file.read_text(), re.MULTILINE)
}


def test_every_role_is_documented() -> None:
    assert set(roles()) == set(ROLES)


@pytest.mark.parametrize("role", ROLES)
def test_page_agrees_with_the_specs(role: str) -> None:
    assert page(role).read_text() == text(role), "run `make docs`"


@pytest.mark.parametrize("role", ROLES)
def test_page_has_an_example_and_the_limits_of_the_role(role: str) -> None:
    headings = re.findall(r"^## (.+)$", page(role).read_text(), re.MULTILINE)
    assert headings[:2] == ["Example", "What this role does not do"]
    assert headings[-1] == "Variables"


@pytest.mark.parametrize("role", sorted(UNDER_THE_SWITCH))
def test_page_of_a_role_that_can_lock_out_warns_of_it(role: str) -> None:
    assert "## Warning\n\nThis role can lock you out" in page(role).read_text()
