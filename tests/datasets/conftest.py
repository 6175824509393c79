"""Where the real data sets are, for tests that need one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def real() -> Callable[[str], Path]:
    """Returns the folder of the real data sets; the test is skipped where the one that it names is not among them."""

    def root_of(folder: str) -> Path:
        repository = Path(__file__).resolve().parents[2]
        root = Path(os.environ.get("QUANTDG_DATA", repository.parent / "shared" / "data"))
        if not (root / folder).is_dir():
            pytest.skip(f"{folder} is not here; point QUANTDG_DATA at the folder that holds it")
        return root

    return root_of
