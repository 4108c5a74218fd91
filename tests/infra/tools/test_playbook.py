"""Running playbooks: progress, recap and failures."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import playbook
from tools.playbook import Outcome, play
from tools.say import Trouble

FAKE = """\
#!/bin/sh
cat <<'OUTPUT'
{output}
OUTPUT
exit {code}
"""
SUCCESS = """\
PLAY [Provision the machine] ***

TASK [common : Install the base packages] ***
ok: [one]

PLAY RECAP ***
one                        : ok=12   changed=2    unreachable=0    failed=0    skipped=3
two                        : ok=9    changed=0    unreachable=0    failed=0    skipped=1
"""
FAILURE = """\
TASK [common : Something harmless] ***
fatal: [one]: FAILED! => that was expected
...ignoring

TASK [nginx : Write nginx' configuration] ***
fatal: [one]: FAILED! => nginx refuses it

PLAY RECAP ***
one                        : ok=1    changed=0    unreachable=0    failed=1    skipped=0
"""


def ansible_says(monkeypatch: pytest.MonkeyPatch, directory: Path, output: str, code: int) -> None:
    monkeypatch.setattr(playbook, "VENV_BIN", directory)
    monkeypatch.setattr(playbook, "ROOT", directory)
    monkeypatch.setattr(playbook, "LOCAL", directory)
    program = directory / "ansible-playbook"
    program.write_text(FAKE.format(output=output, code=code))
    program.chmod(0o755)


def test_recap_is_counted_for_each_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ansible_says(monkeypatch, tmp_path, SUCCESS, 0)
    outcome = play("site.yml", tmp_path, "log")
    assert outcome.hosts["one"]["ok"] == 12
    assert outcome.changed == {"one": 2}


def test_tasks_are_those_of_the_busiest_host() -> None:
    hosts = {"one": {"ok": 12, "skipped": 3, "changed": 0}, "two": {"ok": 9, "skipped": 1, "changed": 0}}
    assert Outcome(1.0, hosts).tasks == 15


def test_each_play_and_role_is_announced_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ansible_says(monkeypatch, tmp_path, SUCCESS, 0)
    play("site.yml", tmp_path, "log")
    assert [line.split("s  ")[1] for line in capsys.readouterr().out.splitlines()] == [
        "Provision the machine",
        "common",
    ]


def test_failure_report_has_the_task_that_failed_last(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ansible_says(monkeypatch, tmp_path, FAILURE, 2)
    with pytest.raises(Trouble) as refused:
        play("site.yml", tmp_path, "log")
    assert "nginx refuses it" in refused.value.what
    assert "Something harmless" not in refused.value.what
    assert "logs/log.log" in refused.value.remedy
