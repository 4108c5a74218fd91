"""`make up`: a trial server, provisioned by the playbooks of production, and a first trade on it."""

import argparse
import json
import shlex
from dataclasses import dataclass
from pathlib import Path

import yaml

from tools import containers, local_inventory, shell, ssh, trial, vault
from tools.containers import Machine
from tools.distros import DEFAULT, named
from tools.paths import LOCAL, ROOT
from tools.playbook import play
from tools.say import finish, note, step

NAME = "algosat-local"
PREFERRED_PORTS = (2222, 8880, 8443)
FACTS = LOCAL / "up.json"
CA_FILE = LOCAL / "ca.pem"
ADMIN = "admin"


@dataclass(frozen=True)
class Facts:
    """What scripts need to use the server; stored in .local/up.json, readable only by its owner."""

    url: str
    ca_file: str
    username: str
    password: str
    ssh: str


def main() -> None:
    """Create the server, trade once on it, and print the next steps."""
    parser = argparse.ArgumentParser(prog="python -m tools.up", description=__doc__)
    parser.add_argument("--distro", default=DEFAULT)
    distro = named(parser.parse_args().distro)
    machine = containers.run(NAME, distro, PREFERRED_PORTS)
    local_inventory.write(machine)
    with step(f"creating the operator on {NAME}"):
        play("bootstrap.yml", local_inventory.DIRECTORY, "up-bootstrap")
    with step("provisioning it with playbooks/site.yml"):
        outcome = play("site.yml", local_inventory.DIRECTORY, "up-site")
    note(f"    {outcome.tasks} tasks, {sum(outcome.changed.values())} of them changed something")
    facts = _keep(machine)
    with step("placing a paper order over HTTPS"):
        trial.trade(facts.url, CA_FILE, facts.username, facts.password)
    _say_what_next(facts)


def _keep(machine: Machine) -> Facts:
    login = ssh.command(machine.name, machine.ssh_port, local_inventory.OPERATOR)
    CA_FILE.write_text(shell.output([*login, "cat", "/etc/ssl/algosat/ca.pem"]))
    secrets = yaml.safe_load(vault.show(local_inventory.ENVIRONMENT))
    facts = Facts(
        url=f"https://localhost:{machine.https_port}",
        ca_file=str(CA_FILE),
        username=ADMIN,
        password=secrets["vault_algosat_admin_password"],
        ssh=shlex.join(login),
    )
    FACTS.unlink(missing_ok=True)
    FACTS.touch(mode=0o600)
    FACTS.write_text(json.dumps(vars(facts), indent=2) + "\n")
    return facts


def _say_what_next(facts: Facts) -> None:
    ca_file = Path(facts.ca_file).relative_to(ROOT)
    note(f"""
Algosat is up.
  address   {facts.url}  (certificate authority: {ca_file})
  login     {facts.username}  {facts.password}
  as JSON   {FACTS.relative_to(ROOT)}

Next
  curl --cacert {ca_file} {facts.url}/health
  open {facts.url}/docs           all routes, to try in the browser
  {facts.ssh}
  make no-change                  provision again: nothing may change
  make down                       remove it""")


if __name__ == "__main__":
    finish(main)
