"""The scenario `alternative` sets every variable to a non-default value, except for listed reasons."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from tools.paths import ROOT

# Patterns of the variables that keep their defaults on both servers, with the reasons.
UNCHANGED = {
    "_packages$": "the packages that a role needs",
    "^algosat_(api_reload|templates|force|forget_keys)$": "for development and for manual runs",
    "^algosat_encryption_algorithm$": "there is only one choice",
    "^algosat_api_trusted_proxies$": "there is one nginx in front of the API",
    "^algosat_authentication_enabled$": "every test logs in",
    "^algosat_ca_file$": "follows from the directory of the certificates",
    "^(backup|ufw)_enabled$": "the tests need the feature; the scenario `operations` disables it",
    "^common_swapfile_mib$": "a container uses the swap of its host",
    "^deadman_validate$": "each role passes its own",
    "^tls_acme_": "the scenario `operations` runs an ACME server",
}


def variables(*files: Path) -> set[str]:
    return {name for file in files for name in yaml.safe_load(file.read_text()) or {}}


def test_every_default_is_changed_or_listed_with_a_reason() -> None:
    shared = ROOT / "playbooks" / "group_vars" / "all"
    known = variables(*ROOT.glob("roles/*/defaults/main.yml"), shared / "algosat.yml")
    wired = variables(shared / "wiring.yml")
    changed = variables(*ROOT.glob("molecule/alternative/inventory/group_vars/*/main.yml"))
    unchanged = known - changed - wired
    unexplained = {name for name in unchanged if not any(re.search(it, name) for it in UNCHANGED)}
    assert unexplained == set()
    superfluous = [it for it in UNCHANGED if not any(re.search(it, name) for name in unchanged)]
    assert superfluous == []
