"""Plans, status and merging of folders, on records made up here; 100,000 of them in seconds."""

import json
import os
import resource
import socket
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from quantdg.bench.cells.lease import Leases
from quantdg.bench.commands.merge import merge as merge_command
from quantdg.bench.commands.run import read_policy, run_parser
from quantdg.bench.commands.status import status
from quantdg.bench.experiment import load as config
from quantdg.bench.experiment.component import Component
from quantdg.bench.experiment.keys import prime_keys
from quantdg.bench.results.merge import merge_runs
from quantdg.bench.results.record import Record, Row, fingerprint
from quantdg.bench.results.store import RunStore
from quantdg.bench.results.summary import scan
from quantdg.bench.sweep.cost import Costs
from quantdg.bench.sweep.plan import make_plan
from quantdg.bench.sweep.requested import read_grids, write_grid
from quantdg.bench.sweep.rerun import RerunPolicy
from quantdg.bench.sweep.status import read_status
from quantdg.core.errors import ConfigError, RecordError
from quantdg.datasets.base import Outline

TARGETS = ["plain", "thick"]


def outline(*domains, fingerprint="data"):
    return Outline(domains, domains, ("0", "1"), (3, 16, 16), fingerprint)


def grid(*words):
    experiment = config.load(
        ["quantizer=[float,lsq,pact]", "seeds=2", "protocol.steps=240", "protocol.start_step=96", *words]
    )
    cells = experiment.cells({"digits": outline(*TARGETS, fingerprint="f" * 16)})
    prime_keys(cells)
    return cells


def record_of(cell, status="done", reason="", *, digest="d", step_ms=10.0, branch_s=2.88, **changes):
    rows = {"iid": Row(12, 0.5, 0.5, {"faint": 0.5}, 1.0, "AAAA" * 100)} if status == "done" else {}
    timings = {"branch_s": branch_s, "step_ms": step_ms, "float_s": 0.0, "total_s": branch_s}
    whole = Record(cell.key, status, cell.labels, cell.settings, reason, rows, timings=timings if rows else {})
    return replace(whole, provenance={"final_weights_sha256": digest, "versions": {"torch": "1"}}, **changes)


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs", create=True)


@pytest.mark.parametrize("more", ["match=null", "match=noise"])
def test_quick_keys_are_the_keys(more):
    words = ("quantizer=[float,lsq,torch_ao]", "averaging=[swad,swad_reference]", "algorithm=[erm,coral]", more)
    cells = grid(*words)
    assert any(cell.match for cell in cells) == (more == "match=noise")
    assert [cell.key for cell in cells] == [fingerprint(cell.settings) for cell in cells]


def test_brief_equals_the_whole_record_however_it_is_written(store):
    cells = grid()
    store.write(record_of(cells[0], plan={"x": '"steps": 3, "timings": {'}))
    store.write(record_of(cells[1], "failed", 'boom "quoted",\n "reason": '))
    (store.root / "cells" / f"{cells[2].key}.json").write_text(
        json.dumps(json.loads(record_of(cells[2]).to_json()), sort_keys=True)
    )
    store.cell_path(cells[3].key).write_text(record_of(cells[3]).to_json()[:-300])
    briefs = {b.key: b for b in scan(store)}
    for cell in cells[:3]:
        brief, whole = briefs[cell.key], store.read(cell.key)
        assert (brief.state, brief.labels, brief.reason) == (whole.status, whole.labels, whole.reason)
    assert [briefs[c.key].branch_s for c in cells[:4]] == [2.88, 0.0, 2.88, 0.0]
    assert briefs[cells[0].key].steps == briefs[cells[2].key].steps == 144
    assert briefs[cells[3].key].state == "damaged"
    assert "is not a whole record" in briefs[cells[3].key].reason


def test_the_plan_counts_states_and_hours(store):
    cells = grid()
    assert len(cells) == 12
    store.write(record_of(cells[0]))
    store.write(record_of(cells[1], "failed", "boom"))
    plan = make_plan(cells, store, RerunPolicy(), {("digits", "erm", "pact", "W7A8"): "no"})
    assert dict(plan.states) == {"done": 1, "failed": 1, "missing": 6, "unsupported": 4}
    assert (len(plan.run), plan.refused, plan.phases) == (10, 4, 3)
    assert plan.seconds == pytest.approx(6 * 2.88 + 3 * 96 * 0.01)
    text = plan.text(jobs=2)
    assert "12 cells in 4 groups: 1 done, 6 missing, 1 failed, 4 unsupported" in text
    assert "to run: 6 cells and 3 float phases" in text
    assert text.endswith("\nunsupported: erm pact W7A8: no")
    assert "core hours: about 0.0056, 0.0028 h with 2 at a time (from 1 measured cells)" in text
    assert "cell hours: about 0.0056, 0.0028 h with 2 at a time" in plan.text(2, processes=4)
    retried = make_plan(cells, store, RerunPolicy(retry="failed"), {})
    assert retried.run[0].key == cells[1].key
    assert retried.stale == [cells[1].key]


def test_a_plan_for_a_new_folder_knows_no_hours():
    plan = make_plan(grid(), None, RerunPolicy(), {})
    assert plan.states["missing"] == len(plan.run) == 12
    assert "unknown, this folder has no measured cell like these; --measure times some steps" in plan.text(1)


def test_the_likest_cells_set_the_price(store):
    cells = {(c.labels.quantizer, c.labels.target, c.labels.seed): c for c in grid()}
    for seconds, quantizer in ((1.44, "float"), (4.32, "lsq")):
        store.write(record_of(cells[quantizer, "thick", 0], branch_s=seconds))
    costs = Costs(scan(store))
    assert costs.branch(cells["lsq", "plain", 1].labels, 144) == pytest.approx(4.32)
    assert costs.branch(cells["pact", "plain", 1].labels, 144) == pytest.approx(2.88)
    assert costs.branch(replace(cells["lsq", "plain", 1].labels, model="other"), 144) is None


def test_status_tells_the_grid_who_works_and_what_failed(store):
    cells = grid()
    write_grid(store, cells)
    assert read_grids(store)[0][cells[5].key].labels == cells[5].labels
    store.write(record_of(cells[0]))
    for cell in (cells[1], cells[4]):
        store.write(record_of(cell, "failed", "RuntimeError: boom"))
    leases = [Leases(store.work).acquire(name) for name in (cells[2].key, cells[2].group.key, cells[0].key)]
    status = read_status(store)
    for lease in leases:
        lease.close()
    assert dict(status.states) == {"done": 1, "failed": 2, "running": 1, "missing": 8}
    assert status.table["digits", "erm", "lsq", "W7"] == {"failed": 2, "missing": 2}
    assert status.rate == 3 * 6
    text = status.text()
    assert f"  digits/plain/0/erm/pact/W7A8 on {socket.gethostname()} process {os.getpid()}\n" in text
    assert "  float phase digits/plain/0/erm on " in text
    assert len(status.holders) == 2, "what is stored is not worked on"
    assert "1 jobs at work, 18 cells an hour over the last 10 minutes" in text
    assert "2 x failed: RuntimeError: boom\n  digits/plain/0/erm/lsq/W7, digits/thick/0/erm/lsq/W7" in text
    assert status.seconds == pytest.approx(9 * 2.88 + 4 * 96 * 0.01)


def test_odd_files_are_ignored_with_a_line_each(store):
    write_grid(store, grid())
    (store.root / "plans" / "torn.json").write_text("{")
    (store.root / "plans" / "folder.json").mkdir()
    (store.root / "plans" / "nested.json").write_text("[" * 10**5)
    (store.work).mkdir()
    (store.work / f"{'a' * 16}.lease.1{'0' * 22}").write_bytes(b"\xff")
    (store.work / f"{'b' * 16}.lease.1").mkdir()
    os.mkfifo(store.work / f"{'c' * 16}.lease.7")
    os.mkfifo(store.cell_path("d" * 16).parent.parent / "plans" / "pipe.json")
    status = read_status(store)
    assert dict(status.states) == {"missing": 12}
    assert len(status.ignored) == 7
    assert status.text().endswith("\n".join(status.ignored))
    assert not any("\n" in line for line in status.ignored)


def test_status_never_imports_torch_and_runs_as_a_command(store, capsys):
    write_grid(store, grid())
    code = (
        "import sys; from quantdg.bench.commands.status import status; status([sys.argv[1]]); "
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code, store.root], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert status([str(store.root)]) == 0
    assert capsys.readouterr().out == done.stdout
    assert "0 jobs at work" in done.stdout


def test_merge_keeps_the_first_takes_results_and_reports_conflicts(tmp_path, capsys):
    cells = grid()
    a, b = (RunStore(tmp_path / name, create=True) for name in "ab")
    for store, digest in ((a, "one"), (b, "two")):
        store.write(record_of(cells[0], digest=digest))
        store.write(record_of(cells[1]))
    a.write(record_of(cells[2], "failed", "boom"))
    b.write(record_of(cells[2]))
    b.write(record_of(cells[3]))
    b.cell_path(cells[4].key).write_text("{")
    (b.root / "float").mkdir()
    (b.root / "float" / "g.safetensors").write_bytes(b"1")
    write_grid(b, cells)
    before = {p: p.read_bytes() for s in (a, b) for p in s.root.rglob("*") if p.is_file()}
    assert merge_command([str(a.root), str(b.root), "--out", str(tmp_path / "c")]) == 1
    text = capsys.readouterr().out
    assert "4 cells copied, 1 there already, 1 failed ones replaced by results, 1 conflicts, 1 files left out" in text
    assert f"({cells[0].key}) of {b.root}: different final weights on equal versions; the first one stays" in text
    c = RunStore(tmp_path / "c")
    assert c.read(cells[0].key).provenance["final_weights_sha256"] == "one"
    assert c.read(cells[2].key).status == "done"
    assert (c.root / "float" / "g.safetensors").read_bytes() == b"1"
    assert read_grids(c) == read_grids(b)
    assert before == {p: p.read_bytes() for s in (a, b) for p in s.root.rglob("*") if p.is_file()}
    again = merge_runs([b.root], c.root)
    assert (again.copied, len(again.conflicts)) == (0, 1)


def test_merge_refuses_what_would_change_a_source(tmp_path):
    a = RunStore(tmp_path / "a", create=True)
    with pytest.raises(ConfigError, match="--out must be a folder of its own"):
        merge_runs([a.root], tmp_path / "a")
    with pytest.raises(RecordError, match="is not a run folder"):
        merge_runs([tmp_path / "none"], tmp_path / "c")


@pytest.mark.parametrize(
    ("words", "policy", "rest"),
    [
        (["seeds=1", "retry=failed"], RerunPolicy(retry="failed"), ["seeds=1"]),
        (["--retry", "failed", "seeds=1"], RerunPolicy(retry="failed"), ["seeds=1"]),
        (["seeds=1", "--force", "a*", "force=b", "bits=4"], RerunPolicy(force=("a*", "b")), ["seeds=1", "bits=4"]),
        (["overwrite=never"], RerunPolicy(overwrite="never"), []),
    ],
)
def test_choices_come_as_options_or_as_settings(words, policy, rest):
    assert read_policy(run_parser().parse_intermixed_args(words)) == (policy, rest)


@pytest.mark.slow
def test_a_hundred_thousand_cells_in_seconds(tmp_path):
    """Plan and status of a grid of 100,000 with 50,000 records, in a process of its own."""
    experiment = config.load(["experiment=demo", "seeds=1000"])
    algorithms = tuple(Component(f"a{i}", a.target, a.options) for i in range(5) for a in experiment.algorithms)
    cells = replace(experiment, algorithms=algorithms).cells({"digits": outline("a", fingerprint="f" * 16)})[:100_000]
    prime_keys(cells)
    store = RunStore(tmp_path / "runs", create=True)
    (store.root / "cells").mkdir()
    for cell in cells[::2]:
        store.cell_path(cell.key).write_text(record_of(cell, curve=[{"step": 1, "train_loss": 0.1}] * 12).to_json())
    began = time.process_time()
    plan = make_plan(cells, store, RerunPolicy(), {})
    planned = time.process_time() - began
    write_grid(store, cells)
    began = time.process_time()
    status = read_status(store)
    told = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\n{len(cells)} cells: plan {planned:.1f} s, status {told:.1f} s of processor time, peak {peak:.2f} GB")
    assert plan.states == {"done": 50_000, "missing": 50_000} == dict(status.states)
    assert max(planned, told) < 10
    assert peak < 1.0
