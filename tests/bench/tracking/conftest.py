"""A run folder made up for each test."""

from functools import partial

import pytest

from tests.bench.made_folder import made_folder


@pytest.fixture
def folder(tmp_path):
    return partial(made_folder, tmp_path / "runs")
