"""Drift: every difference is reported, from the output of Ansible's check mode."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tools import drift
from tools.drift import Difference
from tools.say import Trouble

PLAYBOOK = """\
- hosts: algosat
  gather_facts: false
  tasks:
    - name: Write the files
      config_files:
        files:
          - {{path: {directory}/edited.conf, content: "as it should be\\n", owner: {user}, group: {user}}}
          - {{path: {directory}/kept.conf, content: "kept\\n", owner: {user}, group: {user}}}
    - name: Write the lines
      ansible.builtin.copy: {{dest: "{directory}/{{{{ item }}}}", content: "ours\\n"}}
      loop: [one, two]
    - name: Run a command
      ansible.builtin.command: echo release none -> 1.0
      check_mode: false
"""


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """Create an inventory, a playbook and files that match it, with this machine as the server."""
    user = subprocess.check_output(["id", "-un"], text=True).strip()
    here = f"[algosat]\nhere ansible_connection=local ansible_python_interpreter={sys.executable}\n"
    (tmp_path / "hosts").write_text(here)
    (tmp_path / "site.yml").write_text(PLAYBOOK.format(directory=tmp_path, user=user))
    files = {"edited.conf": "as it should be", "kept.conf": "kept", "one": "ours", "two": "ours"}
    for name, content in files.items():
        (tmp_path / name).write_text(f"{content}\n")
        (tmp_path / name).chmod(0o644)
    return tmp_path


def compare(server: Path) -> list[Difference]:
    return drift.differences(drift.ask(server / "site.yml", server / "hosts", "algosat"))["here"]


def test_only_differences_are_reported_with_their_lines(server: Path) -> None:
    edited = server / "edited.conf"
    edited.write_text("by hand\n")
    (server / "two").write_text("theirs\n")
    found = {it.what: it for it in compare(server)}
    assert set(found) == {str(edited), str(server / "two"), "Run a command"}
    assert found[str(edited)].task == "Write the files"
    assert found[str(edited)].lines[1:] == ("-by hand", "+as it should be")
    assert found["Run a command"].lines == ("release none -> 1.0",)
    assert edited.read_text() == "by hand\n"


def test_failed_comparison_raises_trouble_with_the_reason(server: Path) -> None:
    playbook = server / "site.yml"
    playbook.write_text(playbook.read_text() + "    - ansible.builtin.fail: {msg: no such luck}\n")
    with pytest.raises(Trouble, match=r"here: .*no such luck"):
        compare(server)


def test_report_names_units_and_hides_secrets() -> None:
    hidden = {
        "before": "# (content not shown)\n",
        "after": "# (content not shown)\n",
        "after_header": "/etc/x",
    }
    results: list[dict[str, Any]] = [
        {"changed": True, "name": "algosat-drill.timer", "state": "started"},
        {"changed": True, "diff": [hidden]},
        {"changed": False, "name": "nginx.service"},
    ]
    ran = {"task": {"name": "Run"}, "hosts": {"trade": {"changed": True, "results": results}}}
    answer = {"plays": [{"tasks": [ran]}], "stats": {"trade": {}, "spare": {}}}
    found = drift.differences(answer)
    assert [it.what for it in found["trade"]] == ["algosat-drill.timer", "/etc/x"]
    text = drift.report(found, Path("inventories/production"))
    assert "trade: 2 differ from the inventory" in text
    assert "spare: as in the inventory" in text
    assert text.rstrip().endswith("--limit trade")
