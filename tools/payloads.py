"""Score the payload files of sqlmap and wapiti with the application's screening, and fail below 95 %.

Both packages are downloaded at a locked version, read as data and never run. Nothing of them is in this
repository.

python -m tools.payloads [--show]
"""

import argparse
import configparser
import random
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree  # nosec B405
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from algosat.security.screening import suspicion
from tools import locks
from tools.paths import CACHE, ROOT
from tools.say import Trouble, finish, note

LOCK = ROOT / ".config" / "payloads.txt"
ORDINARY = ROOT / "tests" / "app" / "security" / "ordinary.txt"
SEED, SAMPLE, WANTED = 7, 300, 0.95
# Files of wapiti by what they attack. Its LDAP queries are left out: nothing here asks a directory.
WAPITI = {
    "xssPayloads.ini": "cross-site scripting",
    "execPayloads.ini": "command injection",
    "fileHandlingPayloads.ini": "path traversal",
    "blindSQLPayloads.ini": "blind SQL injection",
    "xxePayloads.ini": "XML entities",
}
# What the tools put in place of their marks.
_MARKS = {
    "[INFERENCE]": "51=51",
    "[SLEEPTIME]": "5",
    "[DELIMITER_START]": "qzq",
    "[DELIMITER_STOP]": "qkq",
    "[GENERIC_SQL_COMMENT]": "-- -",
    "[ORIGVALUE]": "1",
    "[ORIGINAL]": "1",
    "[QUERY]": "SELECT user",
    "[UNION]": "UNION ALL SELECT NULL",
    "[CHAR]": "NULL",
    "[DELAYED]": "0",
    "[TABLE]": "users",
    "[LF]": "\n",
    "[TAB]": "\t",
    "[SPACE]": " ",
    "[NUL]": "\0",
    "[VALUE]": "1",
    "[TIME]": "6",
    "[EXTERNAL_ENDPOINT]": "http://a.example/",
    "[PROTO_ENDPOINT]": "a.example/",
    "[DIRVALUE]": "/var/www",
    "[FILE_NAME]": "index",
    "[FILE_NOEXT]": "index",
    "[DIR_NAME]": "dir",
    "[PATH_ID]": "1",
}


def main() -> int:
    """Score all payloads, a sample of 300 of them, and the ordinary texts."""
    parser = argparse.ArgumentParser(prog="python -m tools.payloads", description=__doc__)
    parser.add_argument("--show", action="store_true", help="print the payloads without a score")
    show = parser.parse_args().show
    found = list(_payloads(_downloaded()))
    totals, scored = Counter(kind for kind, _ in found), Counter(kind for kind, it in found if suspicion(it))
    for kind, number in totals.items():
        note(f"{kind}: {scored[kind]} of {number}")
    sample = random.Random(SEED).sample(found, SAMPLE)  # noqa: S311 - payloads, not secrets  # nosec B311
    in_sample = sum(suspicion(it) is not None for _, it in sample)
    ordinary = [it for it in ORDINARY.read_text().splitlines() if it]
    wrong = [it for it in ordinary if suspicion(it)]
    note(f"of a sample of {SAMPLE}: {in_sample}; of {len(ordinary)} ordinary texts: {len(wrong)}")
    if show:
        note("\n".join(f"{kind}: {it!r}" for kind, it in found if not suspicion(it)))
    return 0 if in_sample >= WANTED * SAMPLE and not wrong else 1


def _downloaded() -> dict[str, zipfile.ZipFile]:
    """Return the packages by name."""
    directory = CACHE / "payloads"
    with locks.exclusive("payloads"):
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"),
                *("--dest", str(directory), "--requirement", str(LOCK)),
            ],
            check=False,
            capture_output=True,
            text=True,
        )
    wheels = {file.name.partition("-")[0]: zipfile.ZipFile(file) for file in directory.glob("*.whl")}
    if done.returncode or wheels.keys() != {"sqlmap", "wapiti3"}:
        raise Trouble(
            f"the payloads could not be downloaded: {done.stderr.strip()[-200:]}", "check the network"
        )
    return wheels


def _payloads(packages: dict[str, zipfile.ZipFile]) -> Iterator[tuple[str, str]]:
    yield from (("SQL injection", it) for it in _of_sqlmap(packages["sqlmap"]))
    for file, kind in WAPITI.items():
        content = packages["wapiti3"].read(f"wapitiCore/data/attacks/{file}").decode()
        yield from ((kind, it) for it in _of_wapiti(content))


def _of_sqlmap(package: zipfile.ZipFile) -> Iterator[str]:
    """Yield each payload with a random one of the boundaries that sqlmap puts around it."""
    draw = random.Random(SEED)  # noqa: S311 - payloads, not secrets  # nosec B311
    around = [
        (it.findtext("prefix") or "", it.findtext("suffix") or "")
        for it in _xml(package, "boundaries", "boundary")
    ]
    names = (Path(it).stem for it in sorted(package.namelist()) if re.search(r"/xml/payloads/\w+\.xml$", it))
    for name in names:
        for test in _xml(package, f"payloads/{name}", "test"):
            prefix, suffix = draw.choice(around)
            payload = test.findtext("request/payload") or "UNION ALL SELECT NULL,NULL"
            comment = test.findtext("request/comment") or ""
            yield _filled(f"1{prefix} {payload}{comment}{'' if comment else suffix}", draw)


def _xml(package: zipfile.ZipFile, name: str, tag: str) -> Iterator[ElementTree.Element]:
    content = package.read(f"sqlmap/data/xml/{name}.xml")
    return ElementTree.fromstring(content).iter(tag)  # noqa: S314 - locked by its digest  # nosec B314


def _of_wapiti(content: str) -> Iterator[str]:
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True, comment_prefixes=(";",))
    parser.read_string(content)
    for section in parser.sections():
        for line in (parser[section].get("payload") or "").splitlines():
            if line.strip():
                yield _filled(line.strip(), random.Random(SEED))  # noqa: S311 - payloads, not secrets  # nosec B311


def _filled(text: str, draw: random.Random) -> str:
    text = re.sub(r"\[RANDNUM\d?\]", lambda _: str(draw.randint(1000, 9999)), text)
    text = re.sub(r"\[RANDSTR\d?\]", lambda _: "".join(draw.choices("abcdXYZ", k=4)), text)
    text = re.sub(r"\[\w+_REPLACE\]", "q", text)
    for mark, value in _MARKS.items():
        text = text.replace(mark, value)
    return text


if __name__ == "__main__":
    finish(main)
