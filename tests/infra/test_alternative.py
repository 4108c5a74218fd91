"""The scenario `alternative` leaves no value at its default without a reason."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from tools.paths import ROOT

# Variables that both servers of the scenario leave as they are, by pattern, and why.
AS_THEY_ARE = {
    "_packages$": "what a role needs",
    "^algosat_(api_reload|templates|force|forget_keys)$": "for work on the app, and for a run by hand",
    "^algosat_(broker|encryption_algorithm)$": "there is one choice",
    "^algosat_api_trusted_proxies$": "one nginx stands in front",
    "^algosat_authentication_enabled$": "every test logs in",
    "^algosat_ca_file$": "follows from the directory of the certificates",
    "^(backup|ufw)_enabled$": "what the tests look at would be gone; the scenario `operations` switches off",
    "^common_swapfile_mib$": "a container has its host's",
    "^deadman_validate$": "each role hands in its own",
    "^tls_acme_": "the scenario `operations` has an authority to ask",
}


def variables(*files: Path) -> set[str]:
    return {name for file in files for name in yaml.safe_load(file.read_text()) or {}}


def test_every_value_is_another_one_or_stays_for_a_reason() -> None:
    shared = ROOT / "playbooks" / "group_vars" / "all"
    known = variables(*ROOT.glob("roles/*/defaults/main.yml"), shared / "algosat.yml")
    handed_out = variables(shared / "wiring.yml")
    told = variables(*ROOT.glob("molecule/alternative/inventory/group_vars/*/main.yml"))
    left = known - told - handed_out
    unexplained = {name for name in left if not any(re.search(it, name) for it in AS_THEY_ARE)}
    assert unexplained == set()
    superfluous = [it for it in AS_THEY_ARE if not any(re.search(it, name) for name in left)]
    assert superfluous == []
