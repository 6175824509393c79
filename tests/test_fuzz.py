"""Two thousand odd inputs, always the same ones: each ends with 0, 1 or 2 and one line, none with a traceback or a hang.

``pytest -s -m slow tests/test_fuzz.py``; one input again: ``-k "records and 17"``.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import lzma
import os
import random
import shutil
import signal
import tarfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from quantdg.bench.cells.lease import Lease, Leases
from quantdg.bench.packed.file import read_model
from quantdg.bench.results.archive import archive_of
from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.bench.training.checkpoint import Snapshot, load_snapshot, load_state, save_snapshot, save_state
from quantdg.core.cli import main
from quantdg.core.errors import QuantDGError
from quantdg.datasets.unpack import unpack

pytestmark = pytest.mark.slow
OLD = Path(__file__).parent / "bench" / "results" / "schema1" / "a"
TURNS, EACH = 20, 20
SECONDS = 120
ODD: list[Any] = [
    None, True, -1, 0, 10**30, 1e308, -0.0, 0.5, "", "x" * 400, "../../x", "/etc/passwd", "\x1b[2J\u202e\n", "[/b]x", "é漢",
    [], {}, [[]], {"": {}}, {"_target_": "os.system"}, json.loads("[" * 300 + "]" * 300), json.loads('{"a":' * 300 + "1" + "}" * 300),
]  # fmt: skip


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    """Fail where an input hangs."""

    def late(*_: object) -> None:
        raise AssertionError(f"took more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def command(*words: str) -> int:
    """Run a command in this process; returns its exit code."""
    out, error = io.StringIO(), io.StringIO()
    with in_time(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(error), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code = main(list(words))
    said = error.getvalue()
    assert code in (0, 1, 2), words
    assert "Traceback" not in said, (words, said)
    assert not set("\x1b\u202e") & set(out.getvalue() + said), words
    if code == 2:
        assert said.startswith("quantdg: error: "), (words, said)
        assert said.count("\n") == 1, (words, said)
    return code


def tried(what: Callable[[], object]) -> int:
    """Call what a command would; 2 where it raises what a command tells in a line."""
    with in_time(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            what()
        except QuantDGError as error:
            assert str(error)
            return 2
    return 0


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) inside nested values."""
    for key in list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
        yield node, key
        yield from places(node[key])


def other_json(rng: random.Random, text: str) -> bytes:
    """The text with a value changed, removed, moved or added, or with other bytes."""
    if rng.random() < 0.3:
        return other_bytes(rng, text.encode())
    raw = json.loads(text)
    for _ in range(rng.randint(1, 3)):
        found = list(places(raw))
        if not found:
            break
        node, key = rng.choice(found)
        kind = rng.randrange(4)
        if kind == 0 and isinstance(node, dict):
            del node[key]
        elif kind == 1 and isinstance(node, dict):
            node[rng.choice(["x", "", "../x", "\x1b"])] = node[key]
        elif kind == 2:
            other, name = rng.choice(found)
            node[key] = json.loads(json.dumps(other[name])) if name in other or isinstance(other, list) else None
        else:
            node[key] = rng.choice(ODD)
    said = json.dumps(raw)
    return (said.replace("0.", rng.choice(["NaN", "1e999", "0."]), 1) if rng.random() < 0.1 else said).encode()


def other_bytes(rng: random.Random, data: bytes) -> bytes:
    """The bytes with some flipped, cut off, repeated, blanked or put in."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(changed) + 1)
        size = rng.choice([1, 2, 8, 64, 512])
        kind = rng.randrange(5)
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del changed[at:]
        elif kind == 2:
            changed[at:at] = changed[max(0, at - size) : at]
        elif kind == 3:
            changed[at : at + size] = bytes(len(changed[at : at + size]))
        else:
            changed[at:at] = rng.randbytes(size)
    return bytes(changed)


def odd_file(rng: random.Random, path: Path, data: bytes) -> None:
    """A file with this content or, now and then, something else in its place."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    kind = rng.randrange(12)
    if kind == 0:
        path.mkdir()
    elif kind == 1:
        os.mkfifo(path)
    elif kind == 2:
        path.symlink_to(rng.choice(["nowhere", path.name, "/dev/zero", "/etc/passwd"]))
    else:
        path.write_bytes(data)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of this version with four real cells."""
    root = tmp_path_factory.mktemp("fuzz") / "runs"
    shutil.copytree(OLD, root)
    (root / "run.json").write_text('{"schema": 2}')
    for path in (root / "cells").iterdir():
        path.write_text(Record.from_json(path.read_text()).to_json())
    return root


SETTINGS = [
    "out", "seeds", "targets", "bits", "act_bits", "data.root", "data.cache", "match", "start_steps", "protocol.name",
    "protocol.steps", "protocol.start_step", "protocol.lr", "protocol.weight_decay", "protocol.batch_size", "protocol.holdout",
    "protocol.check_every", "protocol.bn", "launcher.jobs", "launcher.memory_gb", "launcher.threads", "launcher.lease_seconds",
    "launcher.device", "launcher.max_lost", "verdict.alpha", "verdict.margin", "model", "model.width", "model._target_", "dataset",
    "dataset._target_", "algorithm", "quantizer", "quantizer.lsq.spec", "quantizer.lsq.spec.weight_bits", "quantizer.lsq._target_",
    "averaging", "transform", "optimizer", "optimizer._target_", "schedule", "step_rule", "flatness", "deploy", "+surprise", "+a.b",
]  # fmt: skip
VALUES = [
    "1", "0", "-1", "3", "1e13", "inf", "-inf", "nan", "1e-320", "0.5", "true", "null", "''", "x", "[]", "{}", "[1,2]", "[a,b]",
    "[lsq,lsq]", "{a:{b:1}}", "os.system", "pandas.read_pickle", "../../x", "/dev/null", "~nosuchuser", "x" * 300, "'[/b]x'",
    "'\x1b[2J'", "'\u202e'", "20250101", "none", "all", "thick", "[thick,thick]", "lsq", "[float,lsq]", "erm", "digits", "cuda:9",
    "${out}", "${oc.env:HOME}", "a=b", "(", "]", "\\", "1" + 40 * "0",
]  # fmt: skip


def settings(rng: random.Random, folder: Path, whole: Path) -> int:
    """Random words of ``quantdg run --plan``."""
    quick = [
        "targets=[thick]",
        "seeds=1",
        "protocol.steps=6",
        "protocol.start_step=3",
        "model.width=4",
        f"out={folder / 'runs'}",
    ]
    words = [f"{rng.choice(SETTINGS)}={rng.choice(VALUES)}" for _ in range(rng.randint(1, 3))]
    return command("run", "--plan", *quick, *words)


def records(rng: random.Random, folder: Path, whole: Path) -> int:
    """A run folder with odd JSON files, read by every command that reads one."""
    root = folder / "runs"
    shutil.copytree(whole, root)
    for _ in range(rng.randint(1, 2)):
        files = sorted(p.relative_to(whole) for p in whole.rglob("*.json") if p.name != "run.json")
        name = rng.choice([p for p in files if p.parent.name == "cells"] if rng.random() < 0.7 else files)
        odd_file(rng, root / name, other_json(rng, (whole / name).read_text()))
    keys = sorted(p.stem for p in (whole / "cells").iterdir())
    commands = [
        ("status", str(root)),
        ("watch", "--once", str(root)),
        ("verdict", str(root)),
        ("claims", str(root)),
        ("compare", str(root), str(rng.choice([whole, "domainbed"]))),
        ("export", str(root), "--csv", str(folder / "numbers.csv")),
        ("merge", str(root), "--out", str(folder / "merged")),
        ("show", str(root)),
        ("show", "--full", f"{root}/{rng.choice(keys)}"),
        ("show", "--json", str(root)),
        ("ensemble", f"{root}/*"),
    ]
    rare = [
        ("report", str(root)),
        ("publish", str(root), "--to", str(folder / "published")),
        ("track", str(root), "--to", "tensorboard"),
        ("deploy", f"{root}/{rng.choice(keys)}", "--runtime", "onnxruntime", "--rounds", "7"),
    ]
    return command(*(rng.choice(rare) if rng.random() < 0.05 else rng.choice(commands)))


def leases(rng: random.Random, folder: Path, whole: Path) -> int:
    """Odd leases: the status tells them, and a lease is taken or a holder named."""
    root = folder / "runs"
    shutil.copytree(whole, root)
    (root / "work").mkdir()
    key = "a" * 16
    plain = {"owner": "o", "host": "h", "pid": 1, "started": 1, "boot": "b", "namespace": "n", "job": "", "attempt": 0}
    for _ in range(rng.randint(1, 3)):
        number = rng.choice(["1", "2", "3", "999999", "1000000", "1000001", "1" + 22 * "0", "-1", "x", "", "٣", "01"])
        odd_file(rng, root / "work" / f"{key}.lease.{number}", other_json(rng, json.dumps(plain)))

    def take() -> None:
        taken = Leases(root / "work", 0.01).acquire(key)
        if isinstance(taken, Lease):
            taken.check()
            taken.close()

    return max(tried(take), command("status", str(root)))


def states(rng: random.Random, folder: Path, whole: Path) -> int:
    """Damaged float phases, snapshots and packed models: refused in a line, or exactly what was written."""
    tensors = {"conv.weight": torch.arange(60.0).reshape(3, 4, 5), "n": torch.tensor(3)}
    float_path, snapshot_path = folder / f"{'a' * 16}.safetensors", folder / f"{'b' * 16}.safetensors"
    save_state(float_path, tensors, 3)
    save_snapshot(snapshot_path, Snapshot(3, tensors, {"curve": [1.5]}))
    models = sorted((whole / "models").iterdir())
    model_path = folder / models[0].name
    kinds: list[tuple[Path, bytes, Callable[[], Any]]] = [
        (float_path, float_path.read_bytes(), lambda: load_state(float_path, "cpu", 3)),
        (snapshot_path, snapshot_path.read_bytes(), lambda: load_snapshot(snapshot_path, "cpu").state),
        (model_path, models[0].read_bytes(), lambda: read_model(model_path)),
    ]
    path, data, load = rng.choice(kinds)
    odd_file(rng, path, save(tensors) if rng.random() < 0.05 else other_bytes(rng, data))
    found: list[Any] = []
    code = tried(lambda: found.append(load()))
    if found and path != model_path:  # a packed model of before 0.4 has no checksum
        assert all(torch.equal(found[0][name], tensor) for name, tensor in tensors.items())
    return code


def archives(rng: random.Random, folder: Path, whole: Path) -> int:
    """Damaged archives: refused in a line with nothing left, or unpacked inside their folder."""
    if rng.random() < 0.1:
        published, inner = folder / "records.tar.xz", lzma.decompress(archive_of(whole))
        packed = lzma.compress(other_bytes(rng, inner), preset=0)
        published.write_bytes(packed if rng.random() < 0.5 else other_bytes(rng, packed))
        return command("merge", str(published), "--out", str(folder / "merged"))
    members = {f"d{i % 2}/c/{i}.jpg": rng.randbytes(300) for i in range(4)}
    buffer = io.BytesIO()
    if rng.random() < 0.5:
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name, content in members.items():
                zipped.writestr(name, content)
    else:
        with tarfile.open(fileobj=buffer, mode="w") as tarred:
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tarred.addfile(info, io.BytesIO(content))
    plain = buffer.getvalue()
    data = gzip.compress(other_bytes(rng, plain)) if rng.random() < 0.3 else other_bytes(rng, plain)
    data = other_bytes(rng, gzip.compress(plain)) if rng.random() < 0.2 else data
    if rng.random() < 0.1:
        (folder / "PACS.zip").write_bytes(data)
        return command("prepare", "dataset=pacs", f"data.root={folder}")
    archive = folder / "a.zip"
    archive.write_bytes(data)
    code = tried(partial(unpack, archive, folder / "out"))
    left = sorted(p.name for p in folder.iterdir())
    assert left == (["a.zip"] if code else ["a.zip", "out"])
    return code


KINDS = {made.__name__: made for made in (settings, records, leases, states, archives)}


@pytest.mark.parametrize("turn", range(TURNS))
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_odd_inputs_end_in_a_line(
    tmp_path: Path, whole: Path, kind: str, turn: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    codes: Counter[int] = Counter()
    for number in range(EACH):
        folder = tmp_path / str(number)
        folder.mkdir()
        codes[KINDS[kind](random.Random(f"{kind} {turn} {number}"), folder, whole)] += 1
        shutil.rmtree(folder, ignore_errors=True)
    print(kind, turn, dict(codes))
    assert RunStore(whole)
    assert sum(codes.values()) == EACH
