"""Where the developer's verbs read and write; everything they make lies under .local and .cache."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV_BIN = ROOT / ".venv" / "bin"
LOCAL = ROOT / ".local"
CACHE = ROOT / ".cache"
