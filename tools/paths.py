"""Paths of the repository. Everything that the verbs create is in .local and .cache."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV_BIN = ROOT / ".venv" / "bin"
LOCAL = ROOT / ".local"
CACHE = ROOT / ".cache"
