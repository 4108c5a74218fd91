"""Install files that count only together: all of them, or none if their consumer refuses them."""

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
short_description: Install files that count only if their consumer accepts them
description:
  - Brings all files into the wanted state in one go, then runs the commands of O(validate) on the target,
    then those of O(effects). If one of them fails, every file is put back as it was and the task fails with
    the command's words.
  - No command is run when nothing changed, nor in check mode, where the consumer may not be installed yet.
  - What is changed takes effect here, not in a later task or handler. This module goes on to its end when the
    run that called it is killed, or its connection; and no other run would see that anything is left to do.
options:
  files:
    description: The files; parents that are missing are made (root, 0755).
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Where the file lies on the target.
        type: path
        required: true
      state:
        description: What is to be there. A directory is V(absent) only if it is empty.
        choices: [file, link, directory, absent]
        default: file
        type: str
      template:
        description: Template of a file without O(files[].content); by default its path plus C(.j2).
        type: str
      variables:
        description: Variables for this template alone.
        type: dict
      content:
        description: The whole text of the file.
        type: str
      target:
        description: Where a link points.
        type: str
      mode:
        description: Permission bits in octal; 0644 for a file and 0755 for a directory if not given.
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
        description: Whether the content is kept out of everything that Ansible shows.
        default: false
        type: bool
  purge:
    description: Shell patterns; what they match and O(files) does not name is removed.
    type: list
    elements: str
    default: []
  validate:
    description: Shell commands that must all succeed once the files are in place.
    type: list
    elements: str
    default: []
  effects:
    description: What makes the files count that were changed; once more for the old ones if one of it fails.
    type: list
    elements: dict
    default: []
    suboptions:
      command:
        description: Shell command.
        type: str
        required: true
      paths:
        description: Shell pattern; the command is left out if no path that was changed matches.
        default: "*"
        type: str
"""

DEFAULT_MODES = {"file": "0644", "directory": "0755"}
NOBODY = -1  # an owner that will exist once check mode becomes a run


@dataclass(frozen=True)
class State:
    """What is, or shall be, at a path; `detail` is a file's content or a link's target."""

    kind: str
    detail: bytes = b""
    mode: int = 0
    uid: int = 0
    gid: int = 0


ABSENT = State("absent")


def present(path: Path) -> State:
    """What is at that path now."""
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
        raise ValueError(f"{path} is neither a file, a link nor a directory: move it away first")
    return State("file", path.read_bytes(), *owner)


def wanted(entry: dict[str, Any], check_mode: bool) -> State:
    """What the task asks for at the entry's path."""
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
        uid = gid = NOBODY
    content = (entry["content"] or "").encode() if kind == "file" else b""
    return State(kind, content, int(entry["mode"] or DEFAULT_MODES[kind], 8), uid, gid)


def put(path: Path, state: State) -> None:
    """Bring the path into that state; a file is replaced in one step, so that no reader sees half of it."""
    now = present(path)
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
        _beside(path, state).replace(path)


def _beside(path: Path, state: State) -> Path:
    """A finished file or link next to the path, under a name that no `*.conf` pattern takes up."""
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
        temporary.unlink()  # on a full disk the way back needs its room
        raise
    if state.kind == "link":
        temporary.unlink()
        temporary.symlink_to(os.fsdecode(state.detail))
    return temporary


def strangers(patterns: list[str], named: set[Path]) -> list[Path]:
    """What the patterns match and nobody asked for."""
    found = {path for pattern in patterns for path in Path("/").glob(pattern.lstrip("/"))}
    return sorted(found - named)


def shown(state: State, secret: bool) -> str:
    """The state as a difference shows it."""
    if state.kind == "absent":
        return ""
    if state.kind == "link":
        return f"link to {os.fsdecode(state.detail)}\n"
    owner = f"{_name(pwd.getpwuid, state.uid)}:{_name(grp.getgrgid, state.gid)}"
    content = "# (content not shown)\n" if secret else state.detail.decode(errors="replace")
    return f"# {state.kind} {state.mode:04o} {owner}\n{content}"


def _name(lookup: Callable[[int], tuple[Any, ...]], number: int) -> str:
    if number == NOBODY:
        return "(to be created)"
    try:
        return str(lookup(number)[0])
    except KeyError:
        return str(number)


def main() -> None:
    """Compare, write, have it judged and taken up, and take everything back if a consumer refuses."""
    # Not every sudo gives root an umask of its own, and parents must let in who is to read what lies below.
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
        goal = {path: wanted(entry, module.check_mode) for path, entry in entries.items()}
        goal |= dict.fromkeys(strangers(module.params["purge"], set(goal)), ABSENT)
        before = {path: present(path) for path in goal}
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
                "before": shown(before[path], path in secret),
                "after": shown(goal[path], path in secret),
            }
            for path in changed
        ],
    )


def install(module: AnsibleModule, goal: dict[Path, State], before: dict[Path, State]) -> None:
    """Write the files, have them judged and taken up; on any trouble put back what was there, and fail."""
    judge, changed = module.params["validate"], [str(path) for path in goal]
    effects = [it["command"] for it in module.params["effects"] if fnmatch.filter(changed, it["paths"])]
    accepted = False
    try:
        for path, state in goal.items():
            put(path, state)
        refusal = _refusal(module, judge)
        accepted = not refusal
        refusal = refusal or _refusal(module, effects)
    except OSError as error:
        refusal = str(error)
    if refusal:
        for path in reversed(goal):
            if present(path) != before[path]:
                put(path, before[path])
        for command in [*judge, *effects] if accepted else []:
            _run(module, command)
        module.fail_json(msg=f"Nothing was changed: {refusal}", paths=changed)


def _refusal(module: AnsibleModule, commands: list[str]) -> str:
    for command in commands:
        code, out, err = _run(module, command)
        if code != 0:
            return f"`{command}` refused the new files: {(err.strip() or out.strip() or f'exit {code}')}"
    return ""


def _run(module: AnsibleModule, command: str) -> tuple[int, str, str]:
    answer: tuple[int, str, str] = module.run_command(["/bin/sh", "-c", command])
    return answer


if __name__ == "__main__":
    main()
