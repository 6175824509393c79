"""Exceptions in one line."""

import pytest

from quantdg.core.errors import DataError, one_line


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "options", "expected"),
    [
        (RuntimeError("boom\n  second line"), {}, "RuntimeError: boom second line"),
        (RuntimeError("boom\nsecond"), {"kind": False}, "boom second"),
        (DataError("no such\nfolder"), {}, "no such folder"),
        (ValueError(), {}, "ValueError: no message"),
        (OSError("no caf\udce9.png"), {}, "OSError: no caf\\udce9.png"),
        (Mute(), {}, "Mute: a message that cannot be written"),
        (KeyError("k" * 5000), {"kind": False}, f"'{'k' * 999}..."),
        (DataError("k" * 5000), {}, "k" * 5000),
    ],
)
def test_one_line(error, options, expected):
    assert one_line(error, **options) == expected
