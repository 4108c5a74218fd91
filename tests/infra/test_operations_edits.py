"""Sources that tests/operations edits in a copy of the checkout contain the text to be replaced."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tools.paths import ROOT


def edits() -> Iterator[tuple[str, str]]:
    """Yield the file and the replaced text of each `edit(file, old, new)` call."""
    for file in (ROOT / "tests" / "operations").glob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "edit"
            ):
                edited, old, _ = node.args
                yield ast.literal_eval(edited), ast.literal_eval(old)


@pytest.mark.parametrize(("file", "old"), sorted(edits()))
def test_edited_file_contains_the_replaced_text(file: str, old: str) -> None:
    assert old in (ROOT / file).read_text()
