"""Case 34: encodings of a recording's file."""

from __future__ import annotations

from pathlib import Path

import pytest

from algosat.backtest.run import BacktestRequest, BacktestResult, from_file
from algosat.errors import InvalidRequest
from tests.app.cases.backtests import RATES_OF, recording

pytestmark = pytest.mark.usefixtures("_strategies")

TEXT = "".join(
    recording(
        """
        2026-11-02 09:15,XX,100,101,99,100,5000
        2026-11-02 09:16,XX,100,101,99,100.5,5000
        2026-11-02 09:17,XX,100.5,102,100,101,5000
        2026-11-02 09:18,XX,101,102,100,101,5000
        """
    )
)

PROFIT = "8.51"


def run_file(path: Path, content: bytes) -> BacktestResult:
    path.write_bytes(content)
    parameters = {"symbols": ["XX"], "quantity": 10, "product": "delivery"}
    return from_file(BacktestRequest("once", parameters, charges_of=RATES_OF), path)


def profit(path: Path, content: bytes) -> str | None:
    """Return the profit, or None if the file is refused."""
    try:
        found: str = run_file(path, content).report.result["profit"]
    except InvalidRequest:
        return None
    return found


def test_file_in_utf_8_is_read(tmp_path: Path) -> None:
    assert profit(tmp_path / "plain.csv", TEXT.encode()) == PROFIT


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="case 34: the mark is read as part of a name")
def test_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    assert profit(tmp_path / "excel.csv", TEXT.encode("utf-8-sig")) == PROFIT


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="case 34: UnicodeDecodeError")
@pytest.mark.parametrize(
    ("content", "line"),
    [(TEXT.encode("utf-16"), 1), (TEXT.encode().replace(b"09:17,XX", b"09:17,X\xe9"), 4)],
    ids=["UTF-16", "one byte"],
)
def test_file_in_another_encoding_is_refused_with_the_line(tmp_path: Path, content: bytes, line: int) -> None:
    with pytest.raises((InvalidRequest, UnicodeDecodeError)) as caught:
        run_file(tmp_path / "other.csv", content)
    assert isinstance(caught.value, InvalidRequest)
    assert f"line {line} " in caught.value.detail
    assert "is not UTF-8" in caught.value.detail
