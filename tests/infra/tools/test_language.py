"""The words that the repository does not use."""

from __future__ import annotations

import pytest

from tools import language
from tools.language import hits, lists, pattern
from tools.paths import ROOT


@pytest.mark.parametrize(
    "text",
    [
        "the ward",
        "Ward and more",
        "self._ward = 1",
        "WARD = 2",
        "ward_state",
        "WardState",
        "OldWard",
        "OldWardState",
    ],
)
def test_word_is_found_in_prose_and_in_identifiers(text: str) -> None:
    assert pattern("wards?").search(text)
    assert [hit.word.lower() for hit in hits("some/file.py", text)] == ["ward"]


@pytest.mark.parametrize("text", ["forward", "Forward", "reward", "wardrobe", "FORWARD", "backwards"])
def test_word_is_not_found_within_another(text: str) -> None:
    assert not pattern("wards?").search(text)


def test_hit_names_the_place_and_what_to_write() -> None:
    (hit,) = hits("some/file.py", "fine\nthe ward ends\n")
    assert str(hit) == "some/file.py:2: 'ward': write supervised strategy"


def test_word_is_allowed_in_the_places_that_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = [{"path": "some/*", "words": ["ward"], "why": "an example"}]
    monkeypatch.setattr(language, "lists", lambda: {**lists(), "allowed": allowed})
    assert not list(hits("some/file.py", "the ward"))
    assert list(hits("other/file.py", "the ward"))
    assert list(hits("some/file.py", "the overhang"))


def test_path_is_within_a_folder_by_whole_names() -> None:
    assert language.is_within("tools/say.py", "tools")
    assert language.is_within("tools/say.py", "tools/say.py")
    assert language.is_within("tools/say.py", "")
    assert not language.is_within("toolshed/say.py", "tools")


def test_clean_paths_and_allowed_places_exist() -> None:
    for path in lists()["clean"]["paths"]:
        assert (ROOT / path).exists(), path
    for allowed in lists()["allowed"]:
        assert list(ROOT.glob(allowed["path"])), allowed["path"]
        assert allowed["why"]


def test_files_that_nobody_writes_by_hand_are_not_read() -> None:
    found = set(language.files([""]))
    assert "README.md" in found
    assert "app/requirements.lock" not in found
