"""``quantdg deploy``: one cell as a file for an inference runtime."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ...core.errors import ConfigError
from ...core.paths import default_cache, output_file, user_path
from ...core.text import in_a_line, say
from ..results.deployment import Deployment


def deploy(argv: Sequence[str]) -> int:
    """Write a cell as a file with integer weights, then compare it with its float32 twin in the same runtime.

    The record goes into the run folder, where ``quantdg report`` finds it. Ends with 1 where no file can be written or the file
    is not the same model.
    """
    options = deploy_parser().parse_args(argv)
    from ..cells.temporary import mark_temporary_folder
    from ..deploy.cell import deploy_in, prepare_deployment
    from ..deploy.runtimes import suffix
    from ..deploy.stored import open_cell
    from ..experiment.deploy import DeploySettings
    from ..experiment.grid import Paths
    from ..results.deployment import FOLDER, write_deployment
    from ..results.files import stop_if_disk_failed
    from ..results.find import find_cell

    settings = DeploySettings((options.runtime,), rounds=options.rounds, threads=options.threads)
    store, record = find_cell(options.cell)
    out = options.out or store.path(f"{FOLDER}/{record.key}{suffix(options.runtime)}")
    ending = suffix(options.runtime)
    if out.suffix != ending:
        raise ConfigError(
            f"a file for {options.runtime} must end in {ending}, got {out}; write --out {out.with_suffix(ending)}"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    cache = options.cache or default_cache()
    cell = open_cell(store, record, Paths(store.root, options.data_root, cache))
    with tempfile.TemporaryDirectory(dir=mark_temporary_folder()) as scratch:
        try:
            deployment = deploy_in(options.runtime, prepare_deployment(cell, out, Path(scratch)), settings)
        except Exception as error:
            stop_if_disk_failed(error, out)
            raise
    write_deployment(store.root, deployment)
    say(comparison(deployment, out))
    return 1 if deployment.same_model is False or deployment.kind == "not exportable" else 0


def deploy_parser() -> argparse.ArgumentParser:
    """The options of ``quantdg deploy``."""
    parser = argparse.ArgumentParser("quantdg deploy", description=deploy.__doc__)
    parser.add_argument("cell", metavar="CELL", help="RUNS/KEY or RUNS/DATASET/TARGET/SEED/ALGORITHM/QUANTIZER")
    parser.add_argument("--runtime", default="openvino", help="openvino (default), onnxruntime or executorch")
    parser.add_argument(
        "--out", type=output_file, help="the file; default RUNS/deploy/KEY.onnx, or .pte for executorch"
    )
    parser.add_argument("--rounds", type=int, default=20, help="interleaved rounds of each measurement, at least 7")
    parser.add_argument("--threads", type=int, help="of the wall-time measurement; default: as many as cores")
    parser.add_argument("--data-root", type=user_path, help="folder that holds the data sets")
    parser.add_argument("--cache", type=user_path, help="folder of decoded images")
    return parser


def comparison(d: Deployment, out: Path) -> str:
    """Return what was measured, as text."""
    label = d.labels
    lines = [f"{label.dataset}/{label.target} seed {label.seed} {label.algorithm} {label.quantizer} {label.bits}"]
    lines.append(f"{d.runtime}: {d.kind}" + (f" ({d.reason})" if d.reason else ""))
    if d.kind != "not exportable":
        lines += [f"written: {out}", *_evidence(d)]
    lines += _sizes(d)
    for t in d.timings:
        clock = "CPU time, 1 thread" if t.clock == "cpu" else f"wall time, {t.threads} threads"
        lines.append(
            f"batch {t.batch}, {clock}: {t.median_ms:.3f} ms ({t.q25_ms:.3f}-{t.q75_ms:.3f}) against float32 "
            f"{t.float_ms[0]:.3f} ms ({t.float_ms[1]:.3f}-{t.float_ms[2]:.3f}): ratio {t.ratio:.3f} "
            f"({t.ratio_q25:.3f}-{t.ratio_q75:.3f}), {t.rounds} rounds, load {t.load:.1f}"
        )
    if d.timings:
        lines.append(f"processor: {d.machine['cpu']} ({d.machine['cpu_flags'] or 'no integer instructions'})")
    return "\n".join(map(in_a_line, lines))


def _evidence(d: Deployment) -> list[str]:
    folds = f"BatchNorm folded into {d.folded} layers, not into {d.unfolded}"
    lines = [f"integer layers: {d.integer_layers} of {d.layers}; {folds}"]
    if d.difference is not None and d.noise is not None and d.limit is not None:
        lines.append(
            f"distance to the fake-quantized network: {d.difference:.2e} (limit {d.limit:.2e}, its own float32 noise "
            f"{d.noise:.2e}); as timed {d.fused_difference:.2e}"
        )
        lines += [_distance_to_trained(d), _verdict(d)]
    if d.accuracy is not None:
        lines.append(
            f"target accuracy: {d.accuracy:.4f} in {d.runtime}, {d.stored_accuracy:.4f} recorded, {d.changed} differ"
        )
    return lines


def _distance_to_trained(d: Deployment) -> str:
    if d.recorded_difference is None or d.recorded_limit is None:
        return "distance to the trained network: unknown, its record is older than 0.4 and has no logits"
    over = f"limit {d.recorded_limit:.2e}, {d.recorded_images} images of the record"
    return f"distance to the trained network: {d.recorded_difference:.2e} ({over})"


def _verdict(d: Deployment) -> str:
    if not d.same_model:
        return f"NOT THE SAME MODEL{f': {d.changes}' if d.changes else ''}"
    return f"same model within rounding, but {d.changes}" if d.changes else "same model, no image changes"


def _sizes(d: Deployment) -> list[str]:
    if d.bytes is None:
        return []
    b, lines = d.bytes, []
    files = {
        "float32": b.float_file,
        "float32 for it": b.float_runtime_file,
        "runtime file": b.runtime_file,
        "packed": b.packed_file,
        "compressed": b.compressed_file,
    }
    for name, size in files.items():
        if size:
            lines.append(f"{name:14} {size:>12,} bytes  {size / b.float_file:.4f} of float32")
    return [*lines, f"in packed:     codes {b.codes:,}, scales {b.scales:,}, rest {b.rest:,} bytes"]
