"""The board in a browser: one page of this machine, which a stranger's page cannot read."""

from __future__ import annotations

import http.client
import json

import pytest

from quantdg.bench.board.server import BoardServer
from quantdg.core.errors import ConfigError


def ask(server, path, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def test_the_page_is_refreshed_from_the_folder(served):
    made, server = served
    answer, body = ask(server, "/board.json")
    assert (answer.status, json.loads(body)["states"]["done"]) == (200, 0)
    made.write("digits/plain/0/erm/lsq/W7")
    board = json.loads(ask(server, "/board.json")[1])
    assert board["states"]["done"] == 1
    assert board["grid"][1][0] == {"done": 1, "waiting": 1}
    assert board["share"] == 1 / board["total"]
    assert board["counts"] == f"{board['total']} cells: 1 done, {board['total'] - 1} waiting, 0 failed"
    assert (board["latest"][0]["source"], board["latest"][0]["target"]) == (0.8, 0.5)


def test_a_folder_that_cannot_be_read_is_said(served, monkeypatch):
    _, server = served

    def gone():
        raise OSError("gone")

    monkeypatch.setattr(server.reader, "read", gone)
    answer, body = ask(server, "/board.json")
    assert (answer.status, json.loads(body)) == (503, {"error": "the folder cannot be read: gone"})


def test_the_page_needs_nothing_but_its_own_files_and_no_script_of_a_stranger_runs_in_it(served):
    _, server = served
    for path, kind in (("/", "text/html"), ("/board.css", "text/css"), ("/board.js", "text/javascript")):
        answer, body = ask(server, path)
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith(kind)
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
        assert b"http" not in body
        assert b"innerHTML" not in body
    page = ask(server, "/")[1].decode()
    assert page.count("<script") == page.count('<script src="board.js">') == 1


def test_only_this_machine_by_its_own_names_reads_it_and_only_the_board(served):
    _, server = served
    assert server.server_address[0] == "127.0.0.1"
    for host in ("evil.example", f"evil.example:{server.server_port}", "127.0.0.1.evil.example", ""):
        answer, body = ask(server, "/board.json", Host=host)
        assert answer.status == 403, host
        assert b"states" not in body
    for host in ("localhost:1", "127.0.0.1", f"127.0.0.1:{server.server_port}"):
        assert ask(server, "/board.json", Host=host)[0].status == 200, host
    for path in ("/run.json", "/../run.json", "/index.html", "/board.json?x", "/cells"):
        assert ask(server, path)[0].status == 404, path
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "HEAD"):
        assert ask(server, "/board.json", method)[0].status == 501, method


def test_a_port_that_is_taken_is_refused_in_a_line(served):
    _, server = served
    with pytest.raises(ConfigError, match=f"--port must be one that is free, got {server.server_port}"):
        BoardServer(server.reader, server.server_port)
    with pytest.raises(ConfigError, match="got 700000"):
        BoardServer(server.reader, 700000)
