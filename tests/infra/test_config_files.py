"""The `config_files` module: atomic installation, validation by the consumer, and its diff."""

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
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    return call


def test_missing_file_is_written_with_its_mode_and_its_parents(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "etc" / "a.conf"
    result = run({"path": str(path), "content": "one\n", "mode": "0600"})
    assert result["changed"]
    assert result["changed_paths"] == [str(path)]
    assert path.read_text() == "one\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_created_parents_are_accessible_to_all_whatever_the_umask(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "opt" / "lib" / "a.conf"
    before = os.umask(0o077)
    try:
        run({"path": str(path), "content": "one\n"})
    finally:
        os.umask(before)
    assert [it.stat().st_mode & 0o777 for it in (path.parent, path.parent.parent)] == [0o755, 0o755]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 12 KiB."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=12k", "none", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a file system is not permitted here")
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def test_full_disk_leaves_every_file_as_it_was(run: Run, small_disk: Path) -> None:
    first, second = small_disk / "a.conf", small_disk / "b.conf"
    first.write_text("one\n")
    second.write_text("one\n")
    result = run({"path": str(first), "content": "two\n"}, {"path": str(second), "content": "two\n" * 2048})
    assert "No space left" in result["msg"]
    assert (first.read_text(), second.read_text()) == ("one\n", "one\n")
    assert sorted(it.name for it in small_disk.iterdir()) == ["a.conf", "b.conf"]


def test_second_run_changes_nothing_and_runs_no_validation(run: Run, tmp_path: Path) -> None:
    file = {"path": str(tmp_path / "a.conf"), "content": "one\n"}
    run(file)
    result = run(file, validate=["false"])
    assert not result["changed"]
    assert result["diff"] == []


def test_wrong_mode_alone_is_a_difference(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    run({"path": str(path), "content": "one\n"})
    path.chmod(0o666)
    result = run({"path": str(path), "content": "one\n"})
    assert result["changed"]
    assert "0666" in result["diff"][0]["before"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_rejected_files_are_all_restored(run: Run, tmp_path: Path) -> None:
    old, new, gone, link = (tmp_path / name for name in ("old", "new", "gone", "link"))
    old.write_text("before\n")
    old.chmod(0o640)
    gone.write_text("still needed\n")
    link.symlink_to("old")
    result = run(
        {"path": str(old), "content": "after\n"},
        {"path": str(new), "content": "after\n"},
        {"path": str(gone), "state": "absent"},
        {"path": str(link), "state": "link", "target": "new"},
        validate=[f"grep -q after {old}", "echo syntax error >&2; exit 3"],
    )
    assert result["failed"]
    assert "syntax error" in result["msg"]
    assert (old.read_text(), old.stat().st_mode & 0o777) == ("before\n", 0o640)
    assert gone.read_text() == "still needed\n"
    assert link.readlink() == Path("old")
    assert sorted(it.name for it in tmp_path.iterdir()) == ["gone", "link", "old"]


def test_changed_files_run_only_the_effects_for_their_paths(run: Run, tmp_path: Path) -> None:
    file, seen = {"path": str(tmp_path / "a.conf"), "content": "one\n"}, tmp_path / "seen"
    effects = [
        {"command": f"cat {file['path']} >> {seen}"},
        {"command": f"echo sandbox >> {seen}", "paths": "/etc/systemd/*"},
        {"command": f"echo by path >> {seen}", "paths": f"{tmp_path}/*"},
    ]
    run(file, effects=effects, check=True)
    assert not seen.exists()
    run(file, effects=effects)
    run(file, effects=effects)
    assert seen.read_text() == "one\nby path\n"


def test_failed_effect_restores_and_reactivates_the_old_files(run: Run, tmp_path: Path) -> None:
    path, loaded = tmp_path / "a.conf", tmp_path / "loaded"
    path.write_text("old\n")
    result = run(
        {"path": str(path), "content": "new\n"},
        effects=[
            {"command": f"cp {path} {loaded}"},
            {"command": f"! grep -q new {loaded} || {{ echo no such port >&2; false; }}"},
        ],
    )
    assert result["failed"]
    assert "no such port" in result["msg"]
    assert (path.read_text(), loaded.read_text()) == ("old\n", "old\n")


def test_rejected_files_run_no_effects(run: Run, tmp_path: Path) -> None:
    file, seen = {"path": str(tmp_path / "a.conf"), "content": "one\n"}, tmp_path / "seen"
    run(file, validate=["false"], effects=[{"command": f"touch {seen}"}])
    assert not seen.exists()


def test_directory_that_cannot_be_removed_leaves_all_files_unchanged(run: Run, tmp_path: Path) -> None:
    (tmp_path / "full" / "of").mkdir(parents=True)
    result = run(
        {"path": str(tmp_path / "a"), "content": "one\n"},
        {"path": str(tmp_path / "full"), "state": "absent"},
    )
    assert result["failed"]
    assert not (tmp_path / "a").exists()
    assert (tmp_path / "full" / "of").is_dir()


def test_check_mode_shows_the_difference_and_writes_nothing(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "missing" / "a.conf"
    result = run({"path": str(path), "content": "one\n"}, check=True, validate=["false"])
    assert result["changed"]
    assert result["diff"][0]["before"] == ""
    assert result["diff"][0]["after"].endswith("one\n")
    assert not path.parent.exists()


def test_check_mode_accepts_an_owner_that_does_not_exist_yet(run: Run, tmp_path: Path) -> None:
    file = {"path": str(tmp_path / "a"), "content": "", "owner": "nobody-yet"}
    result = run(file, check=True)
    assert "(to be created)" in result["diff"][0]["after"]
    assert "nobody-yet" in run(file)["msg"]


def test_matching_path_that_is_not_named_is_purged(run: Run, tmp_path: Path) -> None:
    (tmp_path / "default.conf").write_text("packaged\n")
    result = run({"path": str(tmp_path / "site.conf"), "content": "ours\n"}, purge=[f"{tmp_path}/*.conf"])
    assert result["changed_paths"] == [str(tmp_path / "site.conf"), str(tmp_path / "default.conf")]
    assert [it.name for it in tmp_path.iterdir()] == ["site.conf"]


def test_secret_content_is_not_in_the_diff(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("the old secret")
    result = run({"path": str(path), "content": "the new secret", "secret": True})
    assert result["changed"]
    assert not any(f"the {age} secret" in json.dumps(result) for age in ("old", "new"))
    assert path.read_text() == "the new secret"


def test_secret_in_the_output_of_a_failed_command_is_hidden(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "key"
    result = run(
        {"path": str(path), "content": "the new secret", "secret": True},
        validate=[f"cat {path} >&2; false"],
    )
    assert result["failed"]
    assert "the new secret" not in json.dumps(result)


def test_link_with_another_target_is_replaced(run: Run, tmp_path: Path) -> None:
    link = tmp_path / "localtime"
    link.symlink_to("somewhere")
    assert run({"path": str(link), "state": "link", "target": "elsewhere"})["changed"]
    assert link.readlink() == Path("elsewhere")
    assert not run({"path": str(link), "state": "link", "target": "elsewhere"})["changed"]
