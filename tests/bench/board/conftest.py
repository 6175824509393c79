"""A run folder made up for each test, and its board, served."""

import threading
from functools import partial

import pytest

from quantdg.bench.board import server as server_module
from quantdg.bench.board.reader import BoardReader
from quantdg.bench.board.server import BoardServer
from tests.bench.made_folder import made_folder


@pytest.fixture
def folder(tmp_path):
    return partial(made_folder, tmp_path / "runs")


@pytest.fixture
def served(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(server_module, "FRESH_SECONDS", 0.0)
    made = folder()
    with BoardServer(BoardReader(tmp_path / "runs")) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield made, server
        server.shutdown()
        thread.join()
