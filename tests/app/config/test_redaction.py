from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from algosat.config.loader import load
from algosat.config.redaction import completed, redacted
from algosat.errors import ConfigurationError
from tests.app.builders import FERNET_KEY, SECRET_KEY, algosat_data, security_data, write_configuration

PASSWORD = "canary-of-the-database"
URL = f"postgresql+psycopg://algosat:{PASSWORD}@db/algosat"
PREVIOUS = "canary-of-the-previous-key-0123456789abcdef"


@pytest.fixture
def in_force(tmp_path: Path) -> Path:
    data = algosat_data(tmp_path, database__url=URL, security__previous_secret_keys=[PREVIOUS])
    return write_configuration(tmp_path, data)


def written(directory: Path, texts: dict[str, str]) -> Path:
    directory.mkdir()
    for name, text in texts.items():
        (directory / name).write_text(text)
        (directory / name).chmod(0o600)
    return directory


def test_redacted_files_have_every_setting_and_no_secret(in_force: Path) -> None:
    texts = redacted(load(in_force))
    assert not any(it in str(texts) for it in (PASSWORD, PREVIOUS, SECRET_KEY, FERNET_KEY))
    assert yaml.safe_load(texts["algosat.yaml"]).keys() == algosat_data(in_force).keys()
    assert yaml.safe_load(texts["security.yaml"]).keys() == security_data().keys()


def test_completed_files_are_those_that_were_redacted(in_force: Path, tmp_path: Path) -> None:
    archived = written(tmp_path / "archived", redacted(load(in_force)))
    assert load(written(tmp_path / "completed", completed(archived, in_force))) == load(in_force)


def test_settings_are_the_archives_and_secrets_the_servers(in_force: Path, tmp_path: Path) -> None:
    texts = redacted(load(in_force))
    archived = written(tmp_path / "archived", texts)
    changed = (archived / "algosat.yaml").read_text().replace("level: ", "level: DEBUG #")
    (archived / "algosat.yaml").write_text(changed)
    found = load(written(tmp_path / "completed", completed(archived, in_force)))
    assert found.algosat.logging.level == "DEBUG"
    assert found.algosat.security.secret_key.get_secret_value() == SECRET_KEY


def test_archive_that_holds_its_secrets_keeps_them(in_force: Path, tmp_path: Path) -> None:
    data = algosat_data(tmp_path, security__secret_key="the-key-of-an-earlier-archive-0123456789")
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    texts = completed(write_configuration(earlier, data), in_force)
    assert yaml.safe_load(texts["algosat.yaml"])["security"]["secret_key"].startswith("the-key-of-an-earlier")


def test_secret_that_the_server_lacks_is_named(in_force: Path, tmp_path: Path) -> None:
    archived = written(tmp_path / "archived", redacted(load(in_force)))
    (in_force / "security.yaml").write_text("authentication: {}\n")
    with pytest.raises(ConfigurationError, match=r"security.yaml: encryption.keys: is a secret"):
        completed(archived, in_force)
    (in_force / "security.yaml").unlink()
    with pytest.raises(ConfigurationError, match=r"security.yaml: cannot be read"):
        completed(archived, in_force)
