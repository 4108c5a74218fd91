"""config_files: all files or none, judged by their consumer, told as a difference."""

from __future__ import annotations

import grp
import importlib.util
import json
import os
import pwd
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from tools.paths import ROOT

Run = Callable[..., dict[str, Any]]
ME = {"owner": pwd.getpwuid(os.getuid()).pw_name, "group": grp.getgrgid(os.getgid()).gr_name}


def _module() -> Any:
    spec = importlib.util.spec_from_file_location(
        "config_files", ROOT / "playbooks" / "library" / "config_files.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["config_files"] = module
    spec.loader.exec_module(module)
    return module


config_files = _module()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*files: dict[str, Any], check: bool = False, **options: Any) -> dict[str, Any]:
        arguments = {"files": [{**ME, **file} for file in files], **options, "_ansible_check_mode": check}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            config_files.main()
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return answer

    return call


def test_missing_file_is_written_with_its_mode_and_its_parents(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "etc" / "a.conf"
    answer = run({"path": str(path), "content": "one\n", "mode": "0600"})
    assert answer["changed"]
    assert answer["changed_paths"] == [str(path)]
    assert path.read_text() == "one\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_missing_parents_let_everybody_in_whatever_the_umask_of_whoever_logged_in(
    run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "opt" / "lib" / "a.conf"
    before = os.umask(0o077)
    try:
        run({"path": str(path), "content": "one\n"})
    finally:
        os.umask(before)
    assert [it.stat().st_mode & 0o777 for it in (path.parent, path.parent.parent)] == [0o755, 0o755]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of three pages."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=12k", "none", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("nobody may mount a disk here")
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def test_full_disk_leaves_every_file_as_it_was(run: Run, small_disk: Path) -> None:
    first, second = small_disk / "a.conf", small_disk / "b.conf"
    first.write_text("one\n")
    second.write_text("one\n")
    answer = run({"path": str(first), "content": "two\n"}, {"path": str(second), "content": "two\n" * 2048})
    assert "No space left" in answer["msg"]
    assert (first.read_text(), second.read_text()) == ("one\n", "one\n")
    assert sorted(it.name for it in small_disk.iterdir()) == ["a.conf", "b.conf"]


def test_second_run_changes_nothing_and_validates_nothing(run: Run, tmp_path: Path) -> None:
    file = {"path": str(tmp_path / "a.conf"), "content": "one\n"}
    run(file)
    answer = run(file, validate=["false"])
    assert not answer["changed"]
    assert answer["diff"] == []


def test_only_a_wrong_mode_is_a_difference_too(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    run({"path": str(path), "content": "one\n"})
    path.chmod(0o666)
    answer = run({"path": str(path), "content": "one\n"})
    assert answer["changed"]
    assert "0666" in answer["diff"][0]["before"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_refused_files_are_all_put_back(run: Run, tmp_path: Path) -> None:
    old, new, gone, link = (tmp_path / name for name in ("old", "new", "gone", "link"))
    old.write_text("before\n")
    old.chmod(0o640)
    gone.write_text("still needed\n")
    link.symlink_to("old")
    answer = run(
        {"path": str(old), "content": "after\n"},
        {"path": str(new), "content": "after\n"},
        {"path": str(gone), "state": "absent"},
        {"path": str(link), "state": "link", "target": "new"},
        validate=[f"grep -q after {old}", "echo no such word >&2; exit 3"],
    )
    assert answer["failed"]
    assert "no such word" in answer["msg"]
    assert (old.read_text(), old.stat().st_mode & 0o777) == ("before\n", 0o640)
    assert gone.read_text() == "still needed\n"
    assert link.readlink() == Path("old")
    assert sorted(it.name for it in tmp_path.iterdir()) == ["gone", "link", "old"]


def test_changed_files_take_effect_and_only_by_the_commands_for_them(run: Run, tmp_path: Path) -> None:
    file, seen = {"path": str(tmp_path / "a.conf"), "content": "one\n"}, tmp_path / "seen"
    effects = [
        {"command": f"cat {file['path']} >> {seen}"},
        {"command": f"echo sandbox >> {seen}", "paths": "/etc/systemd/*"},
        {"command": f"echo by its place >> {seen}", "paths": f"{tmp_path}/*"},
    ]
    run(file, effects=effects, check=True)
    assert not seen.exists()
    run(file, effects=effects)
    run(file, effects=effects)
    assert seen.read_text() == "one\nby its place\n"


def test_files_that_cannot_take_effect_are_put_back_and_the_old_ones_do(run: Run, tmp_path: Path) -> None:
    path, loaded = tmp_path / "a.conf", tmp_path / "loaded"
    path.write_text("old\n")
    answer = run(
        {"path": str(path), "content": "new\n"},
        effects=[
            {"command": f"cp {path} {loaded}"},
            {"command": f"! grep -q new {loaded} || {{ echo no such port >&2; false; }}"},
        ],
    )
    assert answer["failed"]
    assert "no such port" in answer["msg"]
    assert (path.read_text(), loaded.read_text()) == ("old\n", "old\n")


def test_refused_files_take_no_effect(run: Run, tmp_path: Path) -> None:
    file, seen = {"path": str(tmp_path / "a.conf"), "content": "one\n"}, tmp_path / "seen"
    run(file, validate=["false"], effects=[{"command": f"touch {seen}"}])
    assert not seen.exists()


def test_directory_that_cannot_be_removed_leaves_the_other_files_as_they_were(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "full" / "of").mkdir(parents=True)
    answer = run(
        {"path": str(tmp_path / "a"), "content": "one\n"},
        {"path": str(tmp_path / "full"), "state": "absent"},
    )
    assert answer["failed"]
    assert not (tmp_path / "a").exists()
    assert (tmp_path / "full" / "of").is_dir()


def test_check_mode_shows_the_difference_and_writes_nothing(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "missing" / "a.conf"
    answer = run({"path": str(path), "content": "one\n"}, check=True, validate=["false"])
    assert answer["changed"]
    assert answer["diff"][0]["before"] == ""
    assert answer["diff"][0]["after"].endswith("one\n")
    assert not path.parent.exists()


def test_check_mode_accepts_an_owner_that_a_run_would_create_first(run: Run, tmp_path: Path) -> None:
    file = {"path": str(tmp_path / "a"), "content": "", "owner": "nobody-yet"}
    answer = run(file, check=True)
    assert "(to be created)" in answer["diff"][0]["after"]
    assert "nobody-yet" in run(file)["msg"]


def test_what_nobody_asked_for_is_purged(run: Run, tmp_path: Path) -> None:
    (tmp_path / "default.conf").write_text("packaged\n")
    answer = run({"path": str(tmp_path / "site.conf"), "content": "ours\n"}, purge=[f"{tmp_path}/*.conf"])
    assert answer["changed_paths"] == [str(tmp_path / "site.conf"), str(tmp_path / "default.conf")]
    assert [it.name for it in tmp_path.iterdir()] == ["site.conf"]


def test_secret_content_is_not_in_the_difference(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("the old secret")
    answer = run({"path": str(path), "content": "the new secret", "secret": True})
    assert answer["changed"]
    assert not any(f"the {age} secret" in json.dumps(answer) for age in ("old", "new"))
    assert path.read_text() == "the new secret"


def test_refusal_that_quotes_a_secret_does_not_show_it(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "key"
    answer = run(
        {"path": str(path), "content": "the new secret", "secret": True},
        validate=[f"cat {path} >&2; false"],
    )
    assert answer["failed"]
    assert "the new secret" not in json.dumps(answer)


def test_link_is_repointed(run: Run, tmp_path: Path) -> None:
    link = tmp_path / "localtime"
    link.symlink_to("somewhere")
    assert run({"path": str(link), "state": "link", "target": "elsewhere"})["changed"]
    assert link.readlink() == Path("elsewhere")
    assert not run({"path": str(link), "state": "link", "target": "elsewhere"})["changed"]
