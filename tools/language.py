"""Words that the repository does not use, in prose and identifiers. The lists are in .config/language.toml.

python -m tools.language            fails on a word in the paths that are listed as clean; part of `make lint`
python -m tools.language --all      counts the words in each folder of the whole repository
python -m tools.language PATH...    lists every word in these files and folders
"""

import argparse
import re
import subprocess
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

from tools.paths import ROOT
from tools.say import finish, note

LISTS = ROOT / ".config" / "language.toml"
# Files that nobody writes by hand, or whose words are other people's.
_NOT_OURS = ("*.lock", "*.txt", "*.csv", "*.json", "LICENSE", "*.svg", "*.png")


@dataclass(frozen=True)
class Hit:
    """A word at a place, and what to write instead."""

    path: str
    line: int
    word: str
    instead: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.word!r}: write {self.instead}"


def main() -> int:
    """Print the words found; 1 if there are any in the paths asked for, or in the clean ones."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.language",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("paths", nargs="*", help="files and folders to look through")
    parser.add_argument("--all", action="store_true", help="count what is left in the whole repository")
    asked = parser.parse_args()
    paths = [""] if asked.all else asked.paths or lists()["clean"]["paths"]
    found = [hit for path in files(paths) for hit in hits(path, (ROOT / path).read_text())]
    if asked.all:
        for folder, count in sorted(Counter(str(Path(hit.path).parent) for hit in found).items()):
            note(f"{count:5} {folder}")
        note(f"{len(found):5} in all")
        return 0
    for hit in found:
        note(str(hit))
    return 1 if found else 0


@cache
def lists() -> dict[str, Any]:
    """Return the lists of words, of clean paths and of allowed places."""
    return tomllib.loads(LISTS.read_text())


def files(paths: Iterable[str]) -> Iterator[str]:
    """Yield every file of prose or code that git keeps, or would keep, in the given folders."""
    wanted = [path.rstrip("/") for path in paths]
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        ours = not any(fnmatch(Path(name).name, pattern) for pattern in _NOT_OURS)
        if ours and (ROOT / name).is_file() and any(is_within(name, path) for path in wanted):
            yield name


def is_within(name: str, path: str) -> bool:
    """Return whether a file is the path or lies in it; everything lies in the empty path."""
    return path in ("", name) or name.startswith(f"{path}/")


def hits(path: str, text: str) -> Iterator[Hit]:
    """Yield each word of the list in the text of a file, but for those that are allowed there."""
    allowed = [it["words"] for it in lists()["allowed"] if fnmatch(path, it["path"])]
    for number, line in enumerate(text.splitlines(), 1):
        if _any_word().search(line):
            for wanted, instead in _patterns():
                for found in wanted.finditer(line):
                    if not any(word in ("*", found[0].lower()) for words in allowed for word in words):
                        yield Hit(path, number, found[0], instead)


@cache
def _any_word() -> re.Pattern[str]:
    """Match every line with a word of the list: most lines need no closer look."""
    words = "|".join(lists()["words"])
    return re.compile(rf"(?<![A-Za-z])(?i:{words})|(?<=[a-z])(?=[A-Z])(?i:{words})")


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    return [(pattern(word), instead) for word, instead in lists()["words"].items()]


def pattern(word: str) -> re.Pattern[str]:
    """Match a word that stands alone or between underscores, and its capitalised form within CamelCase."""
    capitalised = word[0].upper() + word[1:]
    return re.compile(
        rf"(?<![A-Za-z])(?i:{word})(?![A-Za-z])|(?<![A-Z]){capitalised}(?=[A-Z])|(?<=[a-z]){capitalised}(?![a-z])"
    )


if __name__ == "__main__":
    finish(main)
