"""`make audit`: the hardening of a server, measured by other projects' scanners."""
