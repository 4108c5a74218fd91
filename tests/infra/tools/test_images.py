"""Container images of the distributions."""

from __future__ import annotations

import pytest

from tools import apt, images, keyrings, shell
from tools.distros import DISTROS, named
from tools.say import Trouble


def test_every_distribution_has_its_own_image_name() -> None:
    names = {images.image_of(distro) for distro in DISTROS.values()}
    assert len(names) == len(DISTROS)


def test_changed_recipe_gives_another_image(monkeypatch: pytest.MonkeyPatch) -> None:
    before = images.image_of(named("debian-12"))
    monkeypatch.setattr(images, "PACKAGES", (*images.PACKAGES, "nano"))
    assert images.image_of(named("debian-12")) != before


def test_unknown_distribution_is_rejected_with_the_known_ones() -> None:
    with pytest.raises(Trouble, match="DISTRO=debian-11") as refused:
        named("debian-11")
    assert all(name in refused.value.remedy for name in DISTROS)


def test_unreachable_archive_is_reported_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "answers", lambda *_: False)
    monkeypatch.setattr(images, "command", lambda: ("true",))
    monkeypatch.setattr(apt, "ensure_commands", lambda *_: None)
    monkeypatch.setattr(keyrings, "on_this_machine", lambda _: "keys")
    failing = ["sh", "-c", "echo 'E: Unable to fetch' >&2; exit 1"]
    monkeypatch.setattr(images, "bootstrap", lambda _: failing)
    monkeypatch.setattr(images, "attempt", lambda *_: None)
    monkeypatch.setattr(shell, "as_root", list)
    with pytest.raises(Trouble, match="E: Unable to fetch") as refused:
        images.ensure(named("ubuntu-24.04"))
    assert "ubuntu-keyring" in refused.value.remedy
