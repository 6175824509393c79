"""Exceptions in one line."""

import pytest

from quantdg.core.errors import DataError, one_line


@pytest.mark.parametrize(
    ("error", "options", "expected"),
    [
        (RuntimeError("boom\n  second line"), {}, "RuntimeError: boom second line"),
        (RuntimeError("boom\nsecond"), {"kind": False}, "boom second"),
        (DataError("no such\nfolder"), {}, "no such folder"),
        (ValueError(), {}, "ValueError: no message"),
    ],
)
def test_one_line(error, options, expected):
    assert one_line(error, **options) == expected
