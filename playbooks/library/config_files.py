"""Ansible module that installs configuration files as a unit: all of them or, if rejected, none."""

from __future__ import annotations

import fnmatch
import grp
import os
import pwd
import stat
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: config_files
short_description: Install files as a unit, if their consumer accepts them
description:
  - Brings all files into the desired state, then runs the commands of O(validate) on the target, then those
    of O(effects). If one of them fails, the module restores every file and fails with the command's output.
  - Runs no command if nothing changed, nor in check mode, where the consumer may not be installed yet.
  - Reloads or restarts belong in O(effects), not in a later task or handler. If the run or its connection is
    killed, this module still finishes on the target, but a pending handler is lost: no later run calls it.
options:
  files:
    description: The files. Missing parent directories are created (root, 0755).
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Path of the file on the target.
        type: path
        required: true
      state:
        description: Wanted state. V(absent) removes a directory only if it is empty.
        choices: [file, link, directory, absent]
        default: file
        type: str
      template:
        description: Template of a file without O(files[].content). Default is its path plus C(.j2).
        type: str
      variables:
        description: Additional variables for this template.
        type: dict
      content:
        description: Complete text of the file.
        type: str
      target:
        description: Target of a link.
        type: str
      mode:
        description: Permission bits in octal. Default is 0644 for a file and 0755 for a directory.
        type: str
      owner:
        description: Name of the owner.
        default: root
        type: str
      group:
        description: Name of the group.
        default: root
        type: str
      secret:
        description: Hide the content in all output of Ansible.
        default: false
        type: bool
  purge:
    description: Shell patterns. Matching paths that O(files) does not name are removed.
    type: list
    elements: str
    default: []
  validate:
    description: Shell commands that must all succeed with the new files in place.
    type: list
    elements: str
    default: []
  effects:
    description: Commands that activate the changed files. If one fails, they run again for the old files.
    type: list
    elements: dict
    default: []
    suboptions:
      command:
        description: Shell command.
        type: str
        required: true
      paths:
        description: Shell pattern. The command runs only if it matches a changed path.
        default: "*"
        type: str
"""

DEFAULT_MODES = {"file": "0644", "directory": "0755"}
UNKNOWN_OWNER = -1  # in check mode: an earlier task of a real run creates this owner


@dataclass(frozen=True)
class State:
    """Current or desired state of a path. `detail` is the content of a file or the target of a link."""

    kind: str
    detail: bytes = b""
    mode: int = 0
    uid: int = 0
    gid: int = 0


ABSENT = State("absent")


def current_state(path: Path) -> State:
    """Return the current state of the path."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT
    if stat.S_ISLNK(found.st_mode):
        return State("link", os.fsencode(path.readlink()))
    owner = (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)
    if stat.S_ISDIR(found.st_mode):
        return State("directory", b"", *owner)
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"{path} is not a file, a link or a directory: remove it first")
    return State("file", path.read_bytes(), *owner)


def wanted_state(entry: dict[str, Any], check_mode: bool) -> State:
    """Return the state that the task wants for the entry's path."""
    kind = entry["state"]
    if kind == "absent":
        return ABSENT
    if kind == "link":
        return State("link", os.fsencode(entry["target"]))
    try:
        uid, gid = pwd.getpwnam(entry["owner"]).pw_uid, grp.getgrnam(entry["group"]).gr_gid
    except KeyError as error:
        if not check_mode:
            raise ValueError(f"{entry['path']}: {error.args[0]}; create it before this task") from None
        uid = gid = UNKNOWN_OWNER
    content = (entry["content"] or "").encode() if kind == "file" else b""
    return State(kind, content, int(entry["mode"] or DEFAULT_MODES[kind], 8), uid, gid)


def write(path: Path, state: State) -> None:
    """Bring the path into the state. A file is replaced atomically, so readers never see a partial file."""
    now = current_state(path)
    if now.kind == "directory" and state.kind != "directory":
        path.rmdir()
    if now.kind in ("file", "link") and state.kind in ("absent", "directory"):
        path.unlink()
    if state.kind == "directory":
        path.mkdir(parents=True, exist_ok=True)
        os.chown(path, state.uid, state.gid)
        path.chmod(state.mode)
    elif state.kind != "absent":
        path.parent.mkdir(parents=True, exist_ok=True)
        _temporary(path, state).replace(path)


def _temporary(path: Path, state: State) -> Path:
    """Create the file or link in the path's directory, under a name that `*.conf` patterns do not match."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix="~", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            if state.kind == "file":
                file.write(state.detail)
                file.flush()
                os.fchown(file.fileno(), state.uid, state.gid)
                os.fchmod(file.fileno(), state.mode)
                os.fsync(file.fileno())
    except OSError:
        temporary.unlink()  # on a full disk, restoring the old files needs this space
        raise
    if state.kind == "link":
        temporary.unlink()
        temporary.symlink_to(os.fsdecode(state.detail))
    return temporary


def unnamed_paths(patterns: list[str], named: set[Path]) -> list[Path]:
    """Return the paths that match a pattern and are not named."""
    found = {path for pattern in patterns for path in Path("/").glob(pattern.lstrip("/"))}
    return sorted(found - named)


def diff_text(state: State, secret: bool) -> str:
    """Return the text of the state for Ansible's diff output."""
    if state.kind == "absent":
        return ""
    if state.kind == "link":
        return f"link to {os.fsdecode(state.detail)}\n"
    owner = f"{_name(pwd.getpwuid, state.uid)}:{_name(grp.getgrgid, state.gid)}"
    content = "# (content not shown)\n" if secret else state.detail.decode(errors="replace")
    return f"# {state.kind} {state.mode:04o} {owner}\n{content}"


def _name(lookup: Callable[[int], tuple[Any, ...]], number: int) -> str:
    if number == UNKNOWN_OWNER:
        return "(to be created)"
    try:
        return str(lookup(number)[0])
    except KeyError:
        return str(number)


def main() -> None:
    """Run the module."""
    # Some versions of sudo keep the user's umask, with which other accounts could not enter created parents.
    os.umask(0o022)
    file = {
        "path": {"type": "path", "required": True},
        "state": {"choices": ["file", "link", "directory", "absent"], "default": "file"},
        "content": {"type": "str", "no_log": False},
        "target": {"type": "str"},
        "mode": {"type": "str"},
        "owner": {"type": "str", "default": "root"},
        "group": {"type": "str", "default": "root"},
        "secret": {"type": "bool", "default": False, "no_log": False},
    }
    effect = {"command": {"type": "str", "required": True}, "paths": {"type": "str", "default": "*"}}
    module = AnsibleModule(
        argument_spec={
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": file,
                "required_if": [("state", "link", ("target",))],
            },
            "purge": {"type": "list", "elements": "str", "default": []},
            "validate": {"type": "list", "elements": "str", "default": []},
            "effects": {"type": "list", "elements": "dict", "default": [], "options": effect},
        },
        supports_check_mode=True,
    )
    entries = {Path(entry["path"]): entry for entry in module.params["files"]}
    module.no_log_values.update(it["content"] for it in entries.values() if it["secret"] and it["content"])
    try:
        goal = {path: wanted_state(entry, module.check_mode) for path, entry in entries.items()}
        goal |= dict.fromkeys(unnamed_paths(module.params["purge"], set(goal)), ABSENT)
        before = {path: current_state(path) for path in goal}
    except ValueError as error:
        module.fail_json(msg=str(error))
    changed = [path for path in goal if goal[path] != before[path]]
    secret = {path for path, entry in entries.items() if entry["secret"]}
    if changed and not module.check_mode:
        install(module, {path: goal[path] for path in changed}, before)
    module.exit_json(
        changed=bool(changed),
        changed_paths=[str(path) for path in changed],
        diff=[
            {
                "before_header": str(path),
                "after_header": str(path),
                "before": diff_text(before[path], path in secret),
                "after": diff_text(goal[path], path in secret),
            }
            for path in changed
        ],
    )


def install(module: AnsibleModule, goal: dict[Path, State], before: dict[Path, State]) -> None:
    """Write and activate the files. If a command or a write fails, restore the old files and fail."""
    validate, changed = module.params["validate"], [str(path) for path in goal]
    effects = [it["command"] for it in module.params["effects"] if fnmatch.filter(changed, it["paths"])]
    accepted = False
    try:
        for path, state in goal.items():
            write(path, state)
        failure = _failure(module, validate)
        accepted = not failure
        failure = failure or _failure(module, effects)
    except OSError as error:
        failure = str(error)
    if failure:
        for path in reversed(goal):
            if current_state(path) != before[path]:
                write(path, before[path])
        for command in [*validate, *effects] if accepted else []:
            _run(module, command)
        module.fail_json(msg=f"Nothing was changed: {failure}", paths=changed)


def _failure(module: AnsibleModule, commands: list[str]) -> str:
    """Run the commands until one fails. Returns the message for that command, or an empty string."""
    for command in commands:
        code, out, err = _run(module, command)
        if code != 0:
            return f"`{command}` failed with the new files: {(err.strip() or out.strip() or f'exit {code}')}"
    return ""


def _run(module: AnsibleModule, command: str) -> tuple[int, str, str]:
    result: tuple[int, str, str] = module.run_command(["/bin/sh", "-c", command])
    return result


if __name__ == "__main__":
    main()
