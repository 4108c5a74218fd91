"""Screening of text that clients send: how much it looks like an attack on a database, a page or a shell.

A score raises a security event and refuses nothing: statements are prepared, pages escape what they show, and
no shell is called. The patterns need the syntax of an attack and not its words alone, so that "select a
strategy" and "O'Brien" have no score. Each repetition is bounded, because a stranger chooses the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

LONGEST: Final = 1024  # characters of a text that are looked at
LONGEST_TOGETHER: Final = 4096  # characters of a request that are looked at
HIGHEST: Final = 10

# A text without any of these has no score.
_SYNTAX: Final = re.compile(r"['\"<>;|&$`(){}\[\]\\%#*=!~^?]|\.\.|--|//|/(?:etc|proc|bin)/|:/|\n")


# An escaped character, a class, or a quantifier.
_QUANTIFIER: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[*+]")
_BOUNDS: Final = {"*": "{0,60}", "+": "{1,60}"}


class Attack(StrEnum):
    SQL = "sql_injection"
    SCRIPT = "cross_site_scripting"
    PATH = "path_traversal"
    COMMAND = "command_injection"


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What a text looks like, from 1 (one weak sign) to 10."""

    score: int
    attacks: tuple[Attack, ...]


def _pattern(*alternatives: str) -> re.Pattern[str]:
    expression = "|".join(f"(?:{_bounded(each)})" for each in alternatives)
    return re.compile(expression, re.IGNORECASE | re.DOTALL)


def _bounded(expression: str) -> str:
    """Return the expression with a bound for each `*` and `+`, and so for the time that a text takes."""
    bounded = re.sub(_QUANTIFIER, lambda found: _BOUNDS.get(found[0], found[0]), expression)
    return str(bounded)


_FUNCTIONS: Final = (
    r"(?:sleep|benchmark|waitfor|pg_sleep|extractvalue|updatexml|xmltype|load_file|ascii|char|chr|concat|"
    r"concat_ws|cast|convert|count|database|substr|substring|substrc|mid|ord|unicode|randomblob|hex|upper|"
    r"user|version|exists|elt|make_set|iif|if|case|generate_series|like|regexp_substring|rand|floor|exp|"
    r"json_keys|gtid_subset|bool_and|quarter|length|len|db_name|system_user|utl_inaddr\.get_host_address|"
    r"ctxsys\.drithsx\.sn|dbms_\w+\.\w+|receive_message|heavy)"
)
_CONNECTIVE: Final = r"\b(?:and|or|xor|having|where)\b\s*(?:not\s+)?"
_COMPARISON: Final = r"(?:<=>|<>|!=|=|<|>|\blike\b)"
_WORDS: Final = (
    r"(?:select|insert|update|delete|drop|union|exec(?:ute)?|declare|create|alter|merge|truncate|call)"
)
_PATTERNS: Final = (
    # Statements and clauses.
    (Attack.SQL, 4, _pattern(r"\bunion\b[\s(/*+]+(?:all\b|distinct\b)?[\s(/*+]*select\b")),
    (Attack.SQL, 3, _pattern(rf"['\")]?\s*;\s*(?:begin\b|if\b|{_WORDS}\b|waitfor\b|shutdown\b|sp_|xp_)")),
    (
        Attack.SQL,
        3,
        _pattern(
            r"\(\s*select\b.+?\)",
            r"\bselect\b.+?\bfrom\b[\s(]+[\w.\"`\[\]#$]+.*?(?:--|#|\bwhere\b|[;)'])",
            r"\bselect\b\s*(?:\*|@@|count\s*\(|case\b|\w+\s*\()",
            r"\binsert\s+into\b.+?\bvalues\b",
            r"\bdelete\s+from\s+\w+(?:\s+where\b|\s*;|\s*--)",
            r"\bupdate\s+\w+\s+set\s+\w+\s*=",
            r"\bdrop\s+(?:table|database|view|schema|user)\b",
            r"\b(?:waitfor\s+delay|procedure\s+analyse|into\s+(?:out|dump)file|information_schema|sysobjects)\b",
            r"\bcase\s+when\b.+?\bthen\b",
            r"\border\s+by\s+\d+\s*(?:--|#|/\*)",
            r"\b(?:having|rlike|regexp)\b\s*[\d('].*?[=)(]",
            r"\bif\s*\(?.{1,80}?\bthen\b.+?;\s*(?:else\b|end\b)",
        ),
    ),
    # Conditions that are always true or false, and calls in an expression.
    (
        Attack.SQL,
        3,
        _pattern(
            rf"{_CONNECTIVE}(?:[('\"]\s*|\d)[\w.'\") ]*{_COMPARISON}\s*[('\"\w]",
            rf"{_CONNECTIVE}(\w+)\s*{_COMPARISON}\s*\1\b",
            rf"{_CONNECTIVE}\w+\s*{_COMPARISON}\s*['\"]",
            r"['\")]\s*(?:and|or|xor|&&|\|\|)\s*['\"(\w]",
            rf"(?:['\")\d]|\b(?:and|or|xor|select|by|like|in))[\s(,+|*/-]*\b{_FUNCTIONS}\s*\(",
            rf"\b(?:and|or|xor)\b[^'\"]*?\b{_FUNCTIONS}\s*\(",
            r"\b(?:and|or)\b\s+[\w.]+\s+(?:not\s+)?(?:between|in|like|is)\b\s*[('\d]",
            r"\|\|\s*\(?\s*(?:select\b|\w+\s*\()",
        ),
    ),
    # An end of a string or statement with the rest commented out.
    (
        Attack.SQL,
        2,
        _pattern(
            r"['\")]\s*(?:--|#|/\*|;%00)", r"\d\s+(?:--|#)\s*$", r"/\*!?\d*.*?\*/", r"^\s*['\"]\s*\)"
        ),
    ),
    (
        Attack.SCRIPT,
        4,
        _pattern(r"<\s*/?\s*script\b", r"\b(?:java|vb)script\s*:", r"\bdata\s*:\s*(?:text/html|;base64)"),
    ),
    (
        Attack.SCRIPT,
        3,
        _pattern(
            r"<\s*(?:svg|img|iframe|object|embed|body|input|link|meta|style|base|form|video|audio|details|marquee|"
            r"isindex|textarea|select|keygen|math|a|div|button|table|frameset|html|title|noscript)\b[^<]*"
            r"(?:>|\bon\w+\s*=|\bsrc\b|/)",
            r"[\s/'\"]on[a-z]{3,24}\s*=",
            r"\b(?:alert|confirm|prompt|eval|fetch)\s*[(`]",
            r"\bdocument\s*\.\s*(?:cookie|write|location)",
            r"\bstring\.fromcharcode\b",
            r"&(?:#x?0*[0-9a-f]{2,6}|lt|gt|colon|lpar|tab|newline);",
            r"\{\{.+?\}\}|\$\{.+?\}|<%.+?%>",
            r"<!(?:entity|doctype)\b",
        ),
    ),
    (
        Attack.PATH,
        4,
        _pattern(
            r"\.\.(?:[/\\]|%2f|%5c|%c0%af)|[/\\]\.\.$",
            r"(?:%2e|\.){2}(?:%2f|%5c|[/\\])",
            r"%252e|%c0%ae",
            r"(?:^|[\s=:'\"/])/?(?:etc/(?:passwd|shadow|hosts|group|services)\b|proc/self|windows/(?:win\.ini|system32)|boot\.ini)",
            r"\b[a-z]:[\\/](?:windows|winnt|boot)",
            r"\b(?:file|php|zip|phar|expect|gopher|dict|ldap|jar|jndi)\s*:\s*//?",
            r"\bweb-inf\b",
            r"%00",
        ),
    ),
    (
        Attack.COMMAND,
        4,
        _pattern(
            # The last of several line ends counts: each with all that follow would take their square in time.
            r"(?:[;|&`\n]|\$\(|&&|\|\|)[^\S\n]*(?:/(?:usr/)?bin/)?(?:cat|ls|id|env|set|whoami|uname|ping|curl|wget|nc|"
            r"ncat|bash|sh|zsh|python3?|perl|php|ruby|powershell|cmd|sleep|echo|rm|chmod|nslookup|dig|telnet|"
            r"ifconfig|ip|dir|type|net|timeout|reboot|shutdown|kill|touch|find|ps)\b(?:[\s;|&<>`)'\"/%$-]|$)",
            r"`[^`\n]{2,60}`",
            r"\$\([^)\n]{2,60}\)",
            r"\$\{?ifs\b",
            r"/bin/(?:ba|z|da)?sh\b",
            r"[;'\".]\s*(?:exit|die|return|while|for|new)\b\s*\(",
            r"\b(?:system|passthru|shell_exec|popen|proc_open|exec|assert|require|include|__import__|print|"
            r"env|getenv|phpinfo|pcntl_exec)\s*\(",
            r"\(\)\s*\{\s*:?\s*;?\s*\}\s*;",
            r"\$\{?jndi\b",
        ),
    ),
)  # fmt: skip


def suspicion(text: str) -> Suspicion | None:
    """Return how suspicious a text is; None if it is not."""
    text = text[:LONGEST]
    if _SYNTAX.search(text) is None:
        return None
    found = [(attack, weight) for attack, weight, pattern in _PATTERNS if pattern.search(text)]
    if not found:
        return None
    attacks = tuple(dict.fromkeys(attack for attack, _ in found))
    return Suspicion(min(sum(weight for _, weight in found), HIGHEST), attacks)


def suspicion_of(texts: Iterable[str]) -> Suspicion | None:
    """Return the suspicion of the first texts of a request together; None if none is suspicious."""
    found: list[Suspicion] = []
    left = LONGEST_TOGETHER
    for text in texts:
        one = suspicion(text)
        if one is not None:
            found.append(one)
        left -= min(len(text), LONGEST)
        if left <= 0:
            break
    if not found:
        return None
    attacks = tuple(dict.fromkeys(attack for each in found for attack in each.attacks))
    return Suspicion(min(sum(each.score for each in found), HIGHEST), attacks)
