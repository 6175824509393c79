"""Searches on the embedded digits: equal draws, grids, held-out seeds, resuming, and what the folder says of trials."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from quantdg.bench.experiment import load as config
from quantdg.bench.results.find import find_cell, find_cells
from quantdg.bench.results.merge import merge_runs
from quantdg.bench.results.store import RunStore
from quantdg.bench.results.trials import SearchedRow, Trial, read_search, settings_path, source_score, write_search
from quantdg.bench.sweep import search as searches
from quantdg.bench.sweep import session
from quantdg.bench.sweep.checks import cells_of, read_outlines
from quantdg.core.errors import ConfigError, UnknownNameError
from quantdg.core.ranges import Log, draw

TINY = [
    "seeds=1", "targets=[thick]", "protocol.steps=6", "protocol.start_step=2", "protocol.check_every=2",
    "protocol.batch_size=4", "protocol.calibration_batches=1", "model.width=4", "averaging=[]", "launcher.jobs=0",
]  # fmt: skip
SEARCH = [*TINY, "search.trials=3", "search.ranges.protocol.batch_size=null"]


def started(words: list[str]) -> searches.Searching:
    experiment = config.load(words)
    found = searches.searching(experiment, read_outlines(experiment))
    assert found is not None
    return found


def trials(words: list[str]) -> dict[str, list[dict]]:
    """Hyper-parameters by the path of the row."""
    asked = started(words).ask(None).asked
    return {row.trials[0].cell.labels.path: [dict(t.values) for t in row.trials] for row in asked}


def run(words: list[str], out: Path) -> int:
    return session.run_experiment(config.load([*words, f"out={out}"]), console=Console(file=io.StringIO()))


def stored(root: Path) -> set[str]:
    return {path.stem for path in (root / "cells").iterdir()}


def test_every_quantizer_of_a_method_gets_the_same_draws() -> None:
    found = trials([*SEARCH, "quantizer=[float,lsq]", "algorithm=[erm,coral]"])
    plain, quantized = (found[f"digits/thick/0/coral/{name}"] for name in ("float/float", "lsq/W7"))
    for number in (1, 2):
        by_hand = draw(Log(10**-4.5, 10**-2.5), 0, "protocol.lr", number)
        assert plain[number]["protocol.lr"] == quantized[number]["protocol.lr"] == by_hand
        assert plain[number]["algorithm.coral.gamma"] == draw(Log(0.1, 10), 0, "algorithm.coral.gamma", number)
        assert found["digits/thick/0/erm/lsq/W7"][number]["protocol.lr"] == by_hand
    assert plain[0] == {"protocol.lr": 0.003, "algorithm.coral.gamma": 1}
    assert set(quantized[1]) - set(plain[1]) == {"quantizer.lsq.lr_ratio"}


def test_one_more_hyper_parameter_shifts_no_draw() -> None:
    before = trials([*SEARCH, "quantizer=[float]"])
    after = trials([*SEARCH, "quantizer=[float]", "search.ranges.model.width={choice:[2,4]}"])
    for old, new in zip(before.values(), after.values(), strict=True):
        assert [{**values, "model.width": 0} for values in old] == [{**values, "model.width": 0} for values in new]


def test_seeds_have_draws_of_their_own_and_trial_0_is_the_plain_cell() -> None:
    found = trials([*SEARCH, "seeds=2", "quantizer=[float]"])
    first, second = found.values()
    assert first[0] == second[0]
    assert first[1] != second[1]
    experiment = config.load([*SEARCH, "quantizer=[float]"])
    plain = {cell.key for cell in cells_of(config.load([*TINY, "quantizer=[float]"]), read_outlines(experiment))}
    asked = started([*SEARCH, "quantizer=[float]"]).ask(None).asked
    assert {row.trials[0].cell.key for row in asked} == plain


def test_a_quantizer_s_own_setting_branches_from_the_same_float_phase() -> None:
    own = started([*SEARCH, "search.over=[quantizer.*]", "quantizer=[float,lsq]"]).ask(None)
    assert len({cell.group.key for cell in own.cells}) == 1
    assert len(own.cells) == 1 + 3, "float has nothing to search: its trials are one cell"
    everything = started([*SEARCH, "quantizer=[float,lsq]"]).ask(None)
    assert len({cell.group.key for cell in everything.cells}) == 3
    assert len(everything.cells) == 6, "float and lsq of a trial share the float phase"


def test_a_list_is_a_grid_of_the_settings_that_a_row_has() -> None:
    words = [
        *TINY,
        "algorithm=[erm,coral]",
        "quantizer=[float]",
        "protocol.lr=[1e-3,1e-2]",
        "algorithm.coral.gamma=[0.1,1]",
    ]
    found = trials(words)
    assert [values["protocol.lr"] for values in found["digits/thick/0/erm/float/float"]] == [0.001, 0.01]
    grid = [tuple(values.values()) for values in found["digits/thick/0/coral/float/float"]]
    assert grid == [(0.001, 0.1), (0.001, 1), (0.01, 0.1), (0.01, 1)]


def test_a_setting_that_is_a_list_already_is_none() -> None:
    assert config.load([*TINY, "optimizer.betas=[0.8,0.9]"]).search is None
    found = trials([*TINY, "quantizer=[float]", "optimizer.betas=[[0.8,0.9],[0.9,0.99]]"])
    assert [values["optimizer.betas"] for values in next(iter(found.values()))] == [[0.8, 0.9], [0.9, 0.99]]


def test_a_list_among_the_trials_of_a_search_is_drawn_from() -> None:
    found = trials([*SEARCH, "quantizer=[float]", "protocol.lr=[1e-3,1e-2]", "search.trials=6"])
    assert {values["protocol.lr"] for values in next(iter(found.values()))} == {0.001, 0.01}


def test_ranges_of_one_data_set_alone() -> None:
    words = [*SEARCH, "quantizer=[float]", "search.over=[protocol.lr]", "search.ranges.protocol.digits.lr={log:[1,2]}"]
    assert all(1 <= values["protocol.lr"] <= 2 for values in next(iter(trials(words).values()))[1:])


def test_a_range_of_one_data_set_need_not_fit_another() -> None:
    longer = [
        "dataset=[digits,longer]",
        "dataset.longer=digits",
        "dataset.longer.severity=0.5",
        "protocol.longer.steps=20",
    ]
    words = ["search.ranges.protocol.longer.start_step={choice:[8,10]}", "quantizer=[float]"]
    found = trials([*SEARCH, *longer, *words, "targets=[digits/thick,longer@0.5/thick]"])
    assert {values["protocol.start_step"] for values in found["longer@0.5/thick/0/erm/float/float"][1:]} <= {8, 10}
    assert not any("protocol.start_step" in values for values in found["digits/thick/0/erm/float/float"])


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["search.trials=0"], ConfigError, "search.trials must be at least 1, the defaults alone, got 0"),
        (["search.trials=2", "search.ranges.protocol.lr={log:[1,0.1]}"], ConfigError, "got 1 to 0.1; write the smaller first"),
        (["search.trials=2", "search.ranges.protocol.lrr={log:[1,2]}"], UnknownNameError, "did you mean 'protocol.lr'"),
        (["search.trials=2", "search.ranges.algorithm.coral.gamma={log:[1,2]}"], UnknownNameError, "setting of this run"),
        (["search.trials=2", "search.ranges.protocol.bn=[frozen,warm]"], ConfigError, "protocol.bn must be frozen or"),
        (["search.trials=2", "search.over=[x]"], UnknownNameError, "hyper-parameter with a range named 'x'"),
        (["search.trials=2", "search.sampler=best"], ConfigError, "search.sampler must be random or tpe"),
        (["search.trials=2", "search.select=held_out_seed", "search.seeds=[0]"], ConfigError, "got 0, which is among seeds"),
        (["search.trials=2", "search.seeds=[]"], ConfigError, "must be a list of seeds"),
        (["search.trials=2", "search.ranges.protocol.lr=null", "search.over=[quantizer.lsq.*]", "quantizer=[float]"],
         UnknownNameError, "quantizer.lsq"),
        (["search.trials=50", "max_cells=99"], ConfigError, "at most 99 cells"),
        (["search.ranges.protocol.lr={log:[1,2]}"], ConfigError, "search.ranges needs a number of trials"),
        (["search.select=held_out_seed"], ConfigError, "needs a search, got none"),
        (["search.sampler=tpe"], ConfigError, "needs a number of trials, got none"),
        (["protocol.lr=[0.001,-1]"], ConfigError, "protocol.lr must be above 0, got -1"),
        (["protocol.lr=[0.001,0.001]"], ConfigError, "0.001 twice"),
        (["protocol.name=[a,b]"], ConfigError, "takes one value"),
        (["quantizer.lsq.spec.weight_bits=[2,4]"], ConfigError, "sets what no table names"),
        (["algorithm=[coral]", "algorithm.coral.gamma=[1,-1]"], ConfigError, "gamma must be at least 0, got -1"),
    ],
)  # fmt: skip
def test_wrong_searches(words: list[str], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        started([*TINY, *words]).ask(None)


def test_a_search_of_three_trials_resumed_raised_and_changed(tmp_path: Path) -> None:
    words, out = [*SEARCH, "quantizer=[float,lsq]"], tmp_path / "runs"
    assert run(words, out) == 0
    first = stored(out)
    assert len(first) == 6
    plan = session.plan_run(config.load([*words, f"out={out}"]))
    assert plan.run == []
    assert "3 trials of each of 2 rows (random: protocol.lr, quantizer.lsq.lr_ratio)" in plan.text(1)
    assert "6 cells in place of 2" in plan.text(1)
    raised = session.plan_run(config.load([*words, f"out={out}", "search.trials=5"]))
    assert len(raised.run) == 4
    assert not first & {cell.key for cell in raised.run}
    assert len(raised.cells) == 10
    with pytest.raises(ConfigError, match="one search of a row, but trial 1 of"):
        session.plan_run(config.load([*words, f"out={out}", "search.ranges.protocol.lr={log:[0.1,0.2]}"]))
    store, record = find_cell(f"{out}/digits/thick/0/erm/lsq")
    scores = {key: source_score(store.load(key)) for key in find_cells(f"{out}/digits/thick/0/erm/lsq")[1]}
    assert len(scores) == 3
    assert source_score(record) == max(scores.values())
    assert merge_runs([out], tmp_path / "merged").copied == 6
    assert read_search(tmp_path / "merged").rows == read_search(out).rows


def test_a_held_out_seed_chooses_for_the_reported_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [*SEARCH, "search.select=held_out_seed", "quantizer=[float]", "seeds=2"]
    plan = session.plan_run(config.load([*words, f"out={tmp_path / 'runs'}"]))
    assert (len(plan.cells), "at most 2 more by their results" in plan.search) == (3 + 2, True)
    monkeypatch.setattr(searches, "choose", max)  # trial 2, whatever a tiny training gives
    assert run(words, tmp_path / "runs") == 0
    rows = read_search(tmp_path / "runs").rows.values()
    held = next(row for row in rows if not row.by)
    assert [len(row.trials) for row in rows if row.by == (held.key,)] == [2, 2]
    reported = [row for row in rows if row.by]
    assert {row.trials[1].number for row in reported} == {2}
    assert {str(row.trials[1].values) for row in reported} == {str(held.trials[2].values)}
    assert session.plan_run(config.load([*words, f"out={tmp_path / 'runs'}"])).run == []


def test_optuna_goes_on_from_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna")
    monkeypatch.setattr(searches, "STARTUP", 2)
    words, out = [*SEARCH, "search.sampler=tpe", "quantizer=[float]", "search.trials=4"], tmp_path / "runs"
    assert run(words, out) == 0
    (row,) = read_search(out).rows.values()
    assert [trial.number for trial in row.trials] == [0, 1, 2, 3]
    assert len(stored(out)) == 4
    assert session.plan_run(config.load([*words, f"out={out}"])).run == []
    RunStore(out).delete(row.trials[3].key)
    assert [cell.key for cell in session.plan_run(config.load([*words, f"out={out}"])).run] == [row.trials[3].key]


def test_where_a_record_has_a_hyper_parameter() -> None:
    assert settings_path("protocol.lr") == ("protocol", "lr")
    assert settings_path("algorithm.coral.gamma") == ("algorithm", "options", "gamma")
    assert settings_path("quantizer.lsq.spec.granularity") == ("quantizer", "spec", "granularity")
    assert settings_path("transform.mixup.alpha") == ("transforms", "mixup", "options", "alpha")
    assert settings_path("averaging.ema.decay") == ("averages", "ema", "options", "decay")
    assert settings_path("step_rule.rho") == ("step_rule", "options", "rho")


def test_folders_with_different_searches_are_not_merged(tmp_path: Path) -> None:
    stores = [RunStore(tmp_path / name, create=True) for name in ("a", "b")]
    for store, key in zip(stores, ("1" * 16, "2" * 16), strict=True):
        write_search(
            store, [SearchedRow("0" * 16, ("0" * 16,), (Trial(0, "0" * 16, {}), Trial(1, key, {"protocol.lr": 1})))]
        )
    with pytest.raises(ConfigError, match="one search of a row"):
        merge_runs([store.root for store in stores], tmp_path / "out")
