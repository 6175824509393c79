"""What the deployed cells cost and whether they are the same models: tables from RUNS/deploy/*.json."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from ...bench.results.deployment import Bytes, Deployment
from ...bench.results.ensemble_size import EnsembleSize, ensemble_sizes
from ..frames.columns import FLOAT, METHOD, ordered, section_words
from ..frames.deployments import deployed_in
from ..frames.results import Results
from ..frames.roles import Roles
from ..text.numbers import DASH
from .latency import timing_table
from .table import Table, traced

_FILES = (
    "float_file",
    "runtime_file",
    "packed_file",
    "compressed_file",
    "codes",
    "scales",
    "rest",
)
MEMBERS = 5
_SIZE_NOTES = (
    (
        "Bytes of files written and read back. runtime file: the integer model as the runtime reads it; packed: b bits a "
        "code; zstd: codes in bytes, compressed; codes, scales (with zero points and code books) and rest (float32): "
        "tensor bytes inside packed."
    ),
    "Medians over cells.",
)
_PROOF_NOTES = (
    (
        "distance: largest difference between logits of the runtime and of the fake-quantized network in float64; limit: "
        "1e-4, with quantized inputs twice float32 (the distance of that network's own float32 form) where this is more. "
        "as timed: with the runtime's own fusions, which the limit does not bind."
    ),
    (
        "Accuracy in %, checkpoint chosen on source validation, whole target domain, mean over the deployed cells: recorded "
        "in training and recomputed from the runtime; changed: images on which the two disagree about being correct; other "
        "class: of the images of the distance, and of those in the cell's record, those that the runtime puts into another "
        "class than the network does."
    ),
)
_ENSEMBLE_NOTES = ("Bytes of the files of all members together, beside one float model.",)


def deployment_tables(results: Results) -> Iterator[Table]:
    """Make the tables of deployed cells that have content, section by section."""
    for section, part in results.section_names.items():
        own, where = deployed_in(results.deployed, section), section_words(section)
        for name, title, make in (
            ("deployed-size", "Size of the deployed files", deployed_size_table),
            ("deployed-latency", "Integer latency", timing_table),
            ("deployed-proof", "The deployed model and the trained one", proof_table),
            ("deployed-ensemble", f"Ensembles of {MEMBERS}", ensemble_table),
        ):
            table = make(own, f"{name}-{part}", f"{title}: {where}", results.roles)
            if len(table.text):
                yield replace(table, section=section)


def _method(d: Deployment | EnsembleSize) -> dict[str, str]:
    return {c: str(getattr(d.labels, c)) for c in METHOD}


def _grouped(
    rows: list[dict[str, Any]], columns: list[str], roles: Roles
) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    frame = ordered(pd.DataFrame(rows), roles)
    if len(frame):
        for names, group in frame.groupby(columns, sort=False, dropna=False):
            yield dict(zip(columns, names, strict=True)), group


def _bytes_text(value: float) -> str:
    return f"{value:,.0f}" if value else DASH


def deployed_size_table(deployments: Sequence[Deployment], name: str, title: str, roles: Roles) -> Table:
    """Make the table of bytes by method; a cell deployed in several runtimes counts once."""
    by_key: dict[str, tuple[Deployment, Bytes]] = {d.key: (d, d.bytes) for d in deployments if d.bytes is not None}
    rows = [{**_method(d), "file": d.file, **{f: getattr(b, f) for f in _FILES}} for d, b in by_key.values()]
    text, numbers, behind = [], [], []
    for names, group in _grouped(rows, METHOD, roles):
        behind.append(group["file"])
        line = {f: float(group[f].median()) for f in _FILES}
        packed, small = (line[f] / line["float_file"] for f in ("packed_file", "compressed_file"))
        numbers.append({**names, **line, "packed_ratio": packed, "compressed_ratio": small, "n": len(group)})
        shown = {f.removesuffix("_file"): _bytes_text(line[f]) for f in _FILES}
        shown |= {"packed / float": f"{packed:.4f}", "zstd / float": f"{small:.4f}", "cells": str(len(group))}
        text.append({**names, **shown})
    head = {"float": "float", "runtime": "runtime file", "packed": "packed"}
    head |= {"compressed": "zstd", "packed / float": "packed / float", "zstd / float": "zstd / float"}
    head |= {c: c for c in ("codes", "scales", "rest", "cells")}
    shown_frame = pd.DataFrame(text, columns=[*METHOD, *head]).rename(columns=head)
    return Table(
        name=name,
        title=title,
        text=shown_frame,
        numbers=pd.DataFrame(numbers),
        labels=3,
        notes=_SIZE_NOTES,
        traces=traced("cells", behind),
    )


def proof_table(deployments: Sequence[Deployment], name: str, title: str, roles: Roles) -> Table:
    """Make the table of distances and accuracies by method and runtime, over the cells for which they were measured."""
    rows = [_proof(d) for d in deployments if d.difference is not None]
    text, numbers, behind = [], [], []
    for names, group in _grouped(rows, [*METHOD, "runtime"], roles):
        behind.append(group["file"])
        line = {f: float(group[f].max()) for f in ("difference", "noise", "fused_difference")}
        line |= {"limit": float(group["limit"].min()), "same": int(group["same"].sum()), "n": len(group)}
        line |= {f: float(group[f].mean()) for f in ("stored_accuracy", "accuracy")}
        line |= {"changed": int(group["changed"].sum()), "folded": int(group["folded"].median())}
        line["unfolded"] = int(group["unfolded"].median())
        other = None if group["other_class"].isna().any() else int(group["other_class"].sum())
        numbers.append({**names, **line, "other_class": other})
        shown = {"same model": f"{line['same']} of {line['n']} cells", "distance": f"{line['difference']:.1e}"}
        shown |= {
            "float32": f"{line['noise']:.1e}",
            "limit": f"{line['limit']:.1e}",
            "as timed": f"{line['fused_difference']:.1e}",
        }
        shown |= {"recorded": f"{100 * line['stored_accuracy']:.2f}", "from runtime": f"{100 * line['accuracy']:.2f}"}
        shown |= {"other class": DASH if other is None else str(other)}
        shown |= {"changed": str(line["changed"]), "BatchNorm folded": f"{line['folded']}"}
        text.append({**names, **shown, "not folded": str(line["unfolded"])})
    traces = traced("same model", behind)
    return Table(
        name=name,
        title=title,
        text=pd.DataFrame(text),
        numbers=pd.DataFrame(numbers),
        labels=4,
        notes=_PROOF_NOTES,
        traces=traces,
    )


def _proof(d: Deployment) -> dict[str, Any]:
    fields = (
        "file",
        "difference",
        "noise",
        "fused_difference",
        "limit",
        "stored_accuracy",
        "accuracy",
        "changed",
        "folded",
        "unfolded",
    )
    other = None if d.images_changed is None else d.images_changed + (d.recorded_changed or 0)
    own = {"runtime": d.runtime, "same": d.same_model, "other_class": other}
    return {**_method(d), **own, **{f: getattr(d, f) for f in fields}}


def ensemble_table(deployments: Sequence[Deployment], name: str, title: str, roles: Roles) -> Table:
    """Make the table of ensembles of the lowest seeds, by method and target."""
    found = [e for e in ensemble_sizes(deployments, MEMBERS) if e.labels.quantizer != FLOAT]
    rows = [
        {**_method(e), "target": str(e.labels.target), "members": e.members, "float_file": e.float_file,
         "packed_files": e.packed_files, "compressed_files": e.compressed_files,
         "packed_ratio": e.packed_ratio, "compressed_ratio": e.compressed_ratio, "files": e.files}
        for e in found
    ]  # fmt: skip
    numbers = ordered(pd.DataFrame(rows), roles)
    behind = list(numbers.pop("files")) if rows else []
    text = pd.DataFrame(
        {**{c: str(row[c]) for c in [*METHOD, "target", "members"]}, "one float model": _bytes_text(row["float_file"]),
         "packed": _bytes_text(row["packed_files"]), "zstd": _bytes_text(row["compressed_files"]),
         "packed / one float": f"{row['packed_ratio']:.3f}", "zstd / one float": f"{row['compressed_ratio']:.3f}"}
        for row in numbers.to_dict("records")
    )  # fmt: skip
    return Table(
        name=name,
        title=title,
        text=text,
        numbers=numbers,
        labels=4,
        notes=_ENSEMBLE_NOTES,
        traces=traced("packed / one float", behind),
    )
