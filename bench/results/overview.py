"""What is stored of a cell, in lines for a terminal. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from tabulate import tabulate

from ...core.nested import leaves
from ...core.text import in_a_line
from .codec import reading
from .record import Record
from .store import RunStore
from .summary import RecordSummary, scan
from .trial_text import trial_texts

TRACEBACK_LINES = 4
LINES = 35
"""A list is cut after so many, unless all is asked for."""


def cell_list(store: RunStore, keys: Sequence[str], *, full: bool) -> str:
    """Return one line for each cell: path, key, state and the reason where it is not done; its trial where there was a search."""
    wanted = set(keys)
    cells: dict[str, RecordSummary] = {cell.key: cell for cell in scan(store) if cell.key in wanted}
    shown = keys if full else keys[:LINES]
    trials = trial_texts(store.root)
    searched = any(key in trials for key in shown)
    rows = [
        (
            in_a_line(cell.labels.path if cell.labels else "?"),
            key,
            *([trials.get(key, "")] if searched else []),
            cell.state,
            in_a_line(cell.reason)[:60],
        )
        for key in shown
        if (cell := cells.get(key)) is not None
    ]
    head = ["cell", "key", *(["trial"] if searched else []), "state", "reason"]
    table = tabulate(rows, head, disable_numparse=True)
    rest = len(keys) - len(shown)
    return f"{table}\n{rest} more; --full shows all" if rest else table


def cell_overview(store: RunStore, key: str, *, full: bool) -> str:
    """Return what is stored of one cell; its layers and settings too where ``full``.

    Raises:
        RecordError: the record is damaged.
    """
    record = store.load(key)
    with reading(str(store.cell_path(key)), "record"):
        trial = trial_texts(store.root).get(key)
        lines = [
            f"{in_a_line(record.labels.path)}  {key}{f'  trial {trial}' if trial else ''}",
            *map(in_a_line, _standing(record)),
            *_traceback(store, record, full),
            *_accuracies(record),
            *_size(record),
            *map(in_a_line, _layers(record)),
        ]
        if full:
            lines += [
                "",
                *_sites(record),
                *_outputs(record),
                "",
                *(in_a_line(f"{name}={value}") for name, value in leaves(record.settings)),
            ]
        return "\n".join(lines)


def _standing(record: Record) -> Iterator[str]:
    seconds = record.timings.get("branch_s")
    took = f" after {seconds:.1f} s of its own" if seconds else ""
    yield f"{record.status}{took}{f': {record.reason}' if record.reason else ''}"
    made = record.provenance
    versions, machine = made.get("versions", {}), made.get("machine", {})
    facts = [f"{name} {versions[name]}" for name in ("quantdg", "torch") if name in versions]
    facts += [str(value) for value in (machine.get("cpu"), machine.get("device"), made.get("created")) if value]
    if facts:
        yield ", ".join(facts)


def _traceback(store: RunStore, record: Record, full: bool) -> Iterator[str]:
    """The end of a failed cell's traceback, all of it where ``full``."""
    text = store.read_log(record)
    if text is not None:
        lines = [line for line in text.rstrip().splitlines() if line]
        yield f"traceback: {store.log_path(record.key)}"
        yield from (f"  {line}" for line in (lines if full else lines[-TRACEBACK_LINES:]))


def _accuracies(record: Record) -> Iterator[str]:
    if record.rows:
        rows = [
            (name, row.step, f"{row.target_in:.4f}", f"{min(row.source_out.values()):.4f}", row.note)
            for name, row in record.rows.items()
        ]
        head = ["selection", "step", "target accuracy", "worst source validation", "averaged"]
        yield ""
        yield tabulate(rows, head, disable_numparse=True)


def _size(record: Record) -> Iterator[str]:
    sizes = record.sizes
    if sizes is not None:
        yield ""
        share = sizes.packed_file / sizes.float_file
        yield f"size: {sizes.packed_file:,} bytes packed, {share:.3f} of {sizes.float_file:,} in float32 ({sizes.path})"


def _layers(record: Record) -> Iterator[str]:
    skipped = record.plan.get("skipped") or []
    if record.audit:
        noise = {name: float(site["noise_to_signal"] or 0) for name, site in record.audit.items()}
        worst = max(noise, key=noise.__getitem__)
        yield f"layers: {len(noise)} quantized, noise median {median(noise.values()):.3f}, worst {noise[worst]:.3f} in {worst}"
    for name, reason in skipped:
        yield f"float: {name}, {reason}"
    outputs = record.plan.get("outputs") or []
    if outputs:
        yield f"outputs: {len(outputs)} quantized"
    for name, reason in record.plan.get("float_outputs") or []:
        yield f"float output: {name}, {reason}"


def _sites(record: Record) -> Iterator[str]:
    if record.audit:
        head = list(dict.fromkeys(key for site in record.audit.values() for key in site))
        rows = [[name, *(site.get(key) for key in head)] for name, site in record.audit.items()]
        yield tabulate(rows, ["layer", *head], floatfmt=".3g")


def _outputs(record: Record) -> Iterator[str]:
    """Each quantized output with the module whose quantizer it has and the evidence that this was trained."""
    rows = [
        (
            output["module"],
            output["grid"],
            output["bits"],
            ", ".join(output["readers"]),
            *(record.outputs.get(output["module"], {}).get(name) for name in ("scale_moved", "scale_gradient")),
        )
        for output in record.plan.get("outputs") or []
    ]
    if rows:
        yield ""
        yield tabulate(rows, ["output", "grid of", "bits", "read by", "scale_moved", "scale_gradient"], floatfmt=".3g")
