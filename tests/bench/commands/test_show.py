"""``quantdg show``: the settings of a part, and cells by key, path and pattern."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from quantdg.bench.commands.show import show
from quantdg.bench.experiment.describe import describe
from quantdg.bench.experiment.offers import COMPONENTS, own_files
from quantdg.bench.results.find import find_cell, find_cells, is_named
from quantdg.bench.results.record import Labels, fingerprint
from quantdg.bench.results.store import RunStore
from quantdg.bench.results.trials import SearchedRow, Trial, write_search
from quantdg.core.errors import ConfigError, RecordError, UnknownNameError
from quantdg.quantizers.base import PlacedOutput, SiteAudit

RUNS = Path(__file__).parents[1] / "results" / "schema1" / "a"
LSQ = "digits/thick/0/erm+mixup+sam/lsq/W7"
PARTS = [
    (group, name) for group in (*COMPONENTS, "protocol", "launcher", "deploy") for name in sorted(own_files(group))
]


@pytest.mark.parametrize(("group", "name"), PARTS)
def test_every_part_is_described_with_every_setting_explained(group: str, name: str) -> None:
    text = describe(group, name)
    assert max(map(len, text.partition("\n\n")[2].splitlines() or [""])) <= 120
    if "It has no settings." not in text:
        head, _, *rows = text.partition("\n\n")[2].splitlines()
        assert [row for row in rows if row[0] != " " and not row[head.index("meaning") :].strip()] == []


def test_the_settings_of_lsq(capsys: pytest.CaptureFixture[str]) -> None:
    assert show(["quantizer", "lsq"]) == 0
    printed = capsys.readouterr().out
    assert "reference: Esser et al., Learned Step Size Quantization, ICLR 2020" in printed
    rows = {line.split()[0]: line.split() for line in printed.splitlines() if line[:1].isalpha()}
    assert rows["lr_ratio"][1:4] == ["a", "number", "0.1"]
    assert rows["spec.act_bits"][1:7] == ["a", "whole", "number", "or", "null", "null"]
    assert "seed" not in rows
    assert "settings, written quantizer.lsq.SETTING=VALUE:" in printed


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["quantizer", "lsqq"], UnknownNameError, "did you mean 'lsq'"),
        (["quantiser", "lsq"], UnknownNameError, "no group with settings named 'quantiser'; did you mean 'quantizer'"),
        (["protocol", "x"], UnknownNameError, "no protocol named 'x'"),
        (["a", "b", "c"], ConfigError, "takes GROUP NAME or one CELL, got 3 words"),
        ([str(RUNS / "photo")], RecordError, "names none of"),
        (["nowhere/at/all"], RecordError, r"no part of nowhere/at/all is one \(none has run\.json\)"),
        (["x" * 300], RecordError, "none has run"),
    ],
)
def test_wrong_words(words: list[str], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        show(words)


def test_a_cell_by_key_path_and_pattern() -> None:
    key = find_cell(f"{RUNS}/{LSQ}")[1].key
    for text in (key, key[:6], LSQ, LSQ.rpartition("/")[0], "digits/*/0/*/lsq", "*/lsq/W7"):
        assert find_cells(f"{RUNS}/{text}")[1] == [key], text
    assert find_cells(f"{RUNS}/cells/{key}.json")[1] == [key]
    every = find_cells(str(RUNS))[1]
    assert len(every) == len(list((RUNS / "cells").glob("*.json"))) > 1
    assert find_cells(f"{RUNS}/digits")[1] == every
    with pytest.raises(RecordError, match=f"one cell is wanted, but .* names {len(every)}: "):
        find_cell(f"{RUNS}/digits/thick")


def test_a_pattern_names_whole_parts_of_a_path() -> None:
    labels = Labels("pacs", "art", 1, "erm", quantizer="lsq", bits="W7", model="m", protocol="p")
    assert is_named("pacs/art/1/erm/lsq", labels)
    assert is_named("pacs/*/lsq/*", labels)
    assert not is_named("pacs/ar", labels)
    assert not is_named("art", labels)


def test_what_is_shown_of_a_cell(capsys: pytest.CaptureFixture[str]) -> None:
    show([f"{RUNS}/{LSQ}"])
    short = capsys.readouterr().out
    record = find_cell(f"{RUNS}/{LSQ}")[1]
    assert record.sizes is not None
    assert f"{record.rows['iid'].target_in:.4f}" in short
    assert f"{record.sizes.packed_file:,} bytes packed" in short
    assert "float: classifier, skipped by a rule of the spec" in short
    assert "again:\nquantdg run dataset=digits " in short
    assert "# The same bits need torch" in short
    assert len(short.splitlines()) <= 40
    show([f"{RUNS}/{LSQ}", "--full"])
    assert "quantizer.spec.weight_bits=7" in capsys.readouterr().out
    show([f"{RUNS}/{LSQ}", "--json"])
    [stored] = json.loads(capsys.readouterr().out)
    assert stored["key"] == record.key


def test_the_numbers_of_one_method_are_shown_layer_by_layer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = find_cell(f"{RUNS}/{LSQ}")[1]
    audit = {name: SiteAudit(4, 0.1, 0.0, 0.2, own={"delta": delta}) for name, delta in [("a", 0.25), ("b", 0.0)]}
    store = RunStore(tmp_path / "runs", create=True)
    store.write(replace(record, audit={name: site.flat() for name, site in audit.items()}))
    show([f"{store.root}/{LSQ}", "--full"])
    [head, _, *rows] = [line.split() for line in capsys.readouterr().out.partition("\nlayer ")[2].splitlines()]
    assert head[-1] == "own.delta"
    assert [(row[0], row[-1]) for row in rows[:2]] == [("a", "0.25"), ("b", "0")]


def test_quantized_outputs_are_listed_and_float_ones_have_their_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = find_cell(f"{RUNS}/{LSQ}")[1]
    assert record.outputs == {}
    placed = [PlacedOutput("act", "act", 8, ("b", "c")), PlacedOutput("pool", "act", 8, carried=True)]
    plan = {**record.plan, "outputs": [asdict(output) for output in placed], "float_outputs": [("add", "no module")]}
    store = RunStore(tmp_path / "runs", create=True)
    store.write(replace(record, plan=plan, outputs={"act": {"scale_moved": 0.25, "scale_gradient": 0.5}}))
    show([f"{store.root}/{LSQ}"])
    short = capsys.readouterr().out
    assert "outputs: 2 quantized" in short
    assert "float output: add, no module" in short
    show([f"{store.root}/{LSQ}", "--full"])
    [_, _, act, pool, *_] = capsys.readouterr().out.partition("\noutput ")[2].splitlines()
    assert act.split() == ["act", "act", "8", "b,", "c", "0.25", "0.5"]
    assert pool.split() == ["pool", "act", "8"]


def test_trials_of_a_search_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = find_cell(f"{RUNS}/{LSQ}")[1]
    rates, store = [1e-3, 0.00123456, 1e-3], RunStore(tmp_path / "runs", create=True)
    settings = [{**record.settings, "protocol": {**record.settings["protocol"], "lr": lr}} for lr in rates]
    records = [replace(record, settings=own, key=fingerprint(own), sizes=None) for own in settings]
    for made in records:
        store.write(made)
    values = [{"protocol.lr": lr, "quantizer.lsq.lr_ratio": 0.1, "algorithm.erm.new": 0.5} for lr in rates]
    del values[0]["algorithm.erm.new"]
    trials = tuple(Trial(n, made.key, own) for n, (made, own) in enumerate(zip(records, values, strict=True)))
    write_search(store, [SearchedRow(records[0].key, (records[0].key,), trials)])
    show([f"{store.root}/digits"])
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["cell", "key", "trial", "state", "reason"]
    told = {line.split()[1]: " ".join(line.split()[2:-1]) for line in rows}
    assert told == {records[0].key: "0, 2 defaults", records[1].key: "1 lr=0.00123 new=0.5"}
    show([f"{store.root}/{records[1].key}"])
    assert capsys.readouterr().out.splitlines()[0] == f"{LSQ}  {records[1].key}  trial 1 lr=0.00123 new=0.5"
    show([str(RUNS)])
    assert "trial" not in capsys.readouterr().out.splitlines()[0]


def test_a_list_says_what_was_cut(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quantdg.bench.results.overview.LINES", 2)
    show([str(RUNS)])
    printed = capsys.readouterr().out
    assert f"{len(find_cells(str(RUNS))[1]) - 2} more; --full shows all" in printed
    show([str(RUNS), "--full"])
    assert "more; --full" not in capsys.readouterr().out
