"""The tables of a cell's page: everything that its record and its deployments hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...bench.recipes.recipe import Recipe
from ...bench.recipes.texts import value_text
from ...bench.results.codec import WRONG
from ...bench.results.confusion import MOST_CLASSES
from ...bench.results.deployment import Deployment
from ...bench.results.record import HEADLINE, LAST, ORACLE, Record
from ...core.errors import one_line
from ...core.nested import leaves
from ..text.numbers import DASH

RULES: dict[str, str] = {HEADLINE: "source validation", ORACLE: "oracle (the target's 20 %)", LAST: "last step"}


@dataclass(frozen=True)
class CellTable:
    """A table is a title, column names, rows of texts and notes.

    Attributes:
        title: its heading.
        columns: their names.
        rows: of texts.
        notes: below it.
        labels: so many columns, from the first, hold names.
        folded: whether only the heading is seen at first.
        shares: 0 to 1 for each cell but a row's first, by which it is shaded; empty for no shades.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    labels: int = 1
    folded: bool = False
    shares: Sequence[Sequence[float]] = ()


def cell_tables(record: Record, deployments: Sequence[Deployment], recipe: Recipe | None) -> list[CellTable]:
    """Return all tables in reading order."""
    parts = [_selections, _curve, _confusion, _audit, _noise, _outputs, _left_in_float, _size]
    made = [table for part in parts for table in _readable(part, record)]
    return [*made, *_deployed(deployments), *_settings(record, recipe), *_provenance(record)]


def _readable(part: Callable[[Record], Iterator[CellTable]], record: Record) -> list[CellTable]:
    """The tables of a part; a record's free parts may have another form than every record's, which costs the table only."""
    try:
        return list(part(record))
    except WRONG as error:
        return [CellTable(_words(part.__name__).strip(), (), (), [f"cannot be read: {one_line(error)}"])]


def percent(share: float) -> str:
    """Write a share as percent with two digits."""
    return f"{100 * share:.2f}"


def number(value: object) -> str:
    """Write a number with four digits, a whole one with all of them; a dash for None, anything else as it is."""
    if value is None:
        return DASH
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _selections(record: Record) -> Iterator[CellTable]:
    if record.rows:
        domains = list(dict.fromkeys(name for row in record.rows.values() for name in row.source_out))
        head = ["checkpoint by", "step", "target %", "target, its 20 %", *(f"{name}, validation %" for name in domains)]
        rows = [
            [
                RULES.get(rule, rule),
                str(row.step),
                percent(row.target_in),
                percent(row.target_out),
                *(percent(row.source_out[name]) if name in row.source_out else DASH for name in domains),
                row.note or DASH,
            ]
            for rule, row in record.rows.items()
        ]
        note = f"target: its 80 % of {record.target_count} images, which tables report; only the oracle selects by the 20 %."
        yield CellTable("Accuracy by selection", [*head, "averaged"], rows, [note])


def _curve(record: Record) -> Iterator[CellTable]:
    if record.curve:
        rows = [
            [
                number(point["step"]),
                number(point["train_loss"]),
                percent(point["source_acc"]),
                number(point["source_loss"]),
                percent(point["target_out"]),
            ]
            for point in record.curve
        ]
        head = ["step", "training loss", "source validation %", "source validation loss", "target, its 20 % (%)"]
        yield CellTable("Checkpoints", head, rows, folded=True)


def _confusion(record: Record) -> Iterator[CellTable]:
    """True by predicted class, or how many of each class were right where there are too many classes."""
    found, title = record.confusion, "Confusion of classes on the target"
    if found is None and record.rows:
        yield CellTable(
            title, (), (), ["not recorded: only records of 0.4 and later have it; run the cell again"], folded=True
        )
    if found is None:
        return
    matrix, right = found.matrix(), found.right().tolist()
    recalls = [f"{100 * good / every:.1f}" if every else DASH for good, every in right]
    note = "The checkpoint that is best on source validation, on the images that tables report."
    if matrix is None:
        rows = [[name, *map(str, own), recall] for name, own, recall in zip(found.classes, right, recalls, strict=True)]
        notes = [note, f"The whole matrix is recorded up to {MOST_CLASSES} classes."]
        yield CellTable(title, ["class", "right", "images", "right %"], rows, notes, folded=True)
        return
    counts = matrix.tolist()
    rows = [[name, *map(str, own), recall] for name, own, recall in zip(found.classes, counts, recalls, strict=True)]
    shares = [[count / max(1, sum(own)) for count in own] for own in counts]
    yield CellTable(
        title, ["true class", *found.classes, "right %"], rows, ["Rows: true; columns: predicted.", note], shares=shares
    )


def _audit(record: Record) -> Iterator[CellTable]:
    if record.audit:
        sites = record.audit.values()
        head = [name for name in _keys(sites) if any(site.get(name) is not None for site in sites)]
        rows = [[name, *(number(site.get(key)) for key in head)] for name, site in record.audit.items()]
        yield CellTable("Audit by layer", ["layer", *map(_words, head)], rows)


def _noise(record: Record) -> Iterator[CellTable]:
    if record.noise:
        steps = ["at insertion", *(f"step {point['step']:g}" for point in record.curve)]
        rows = [[name, *map(number, values)] for name, values in record.noise.items()]
        note = "std(quantized - latent weights) / std(latent weights)"
        yield CellTable("Noise of the weights by layer", ["layer", *steps], rows, [note])


def _outputs(record: Record) -> Iterator[CellTable]:
    if record.outputs:
        head = _keys(record.outputs.values())
        rows = [[name, *(number(output.get(key)) for key in head)] for name, output in record.outputs.items()]
        yield CellTable("Quantized outputs", ["output of", *map(_words, head)], rows)


def _left_in_float(record: Record) -> Iterator[CellTable]:
    left = [*record.plan.get("skipped", ()), *record.plan.get("float_outputs", ())]
    if left:
        rows = [[str(name), str(why)] for name, why in left]
        yield CellTable("Left in float", ["layer or output", "why"], rows, labels=2)


def _words(key: str) -> str:
    return key.replace("_", " ")


def _keys(sites: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for site in sites for key in site))


def _size(record: Record) -> Iterator[CellTable]:
    sizes = record.sizes
    if sizes is not None:
        whole = sizes.float_file or 1
        files = {"float32": sizes.float_file, "packed": sizes.packed_file}
        inside = {"codes": sizes.codes, "scales": sizes.scales, "rest": sizes.rest}
        rows = [[name, f"{size:,}", f"{size / whole:.4f}"] for name, size in files.items()]
        rows += [[f"packed: {name}", f"{size:,}", f"{size / whole:.4f}"] for name, size in inside.items()]
        notes = [f"{sizes.path}, checksum {sizes.checksum or 'none'}"] if sizes.path else []
        yield CellTable("Size", ["file", "bytes", "of float32"], rows, notes)


def _deployed(deployments: Sequence[Deployment]) -> Iterator[CellTable]:
    if deployments:
        head = ["runtime", "kind", "bytes", "layers in integers", "target %", "recorded %", "same model", "why not"]
        rows = [
            [
                d.runtime,
                d.kind,
                f"{d.bytes.runtime_file or d.bytes.float_runtime_file:,}" if d.bytes else DASH,
                f"{d.integer_layers} of {d.layers}",
                DASH if d.accuracy is None else percent(d.accuracy),
                DASH if d.stored_accuracy is None else percent(d.stored_accuracy),
                {True: "yes", False: "no", None: DASH}[d.same_model],
                d.reason or DASH,
            ]
            for d in deployments
        ]
        yield CellTable("Deployed", head, rows, ["target here: all its images."], labels=2)
        times = [
            [d.runtime, str(t.batch), str(t.threads), f"{t.median_ms:.3f}", f"{t.float_ms[0]:.3f}", f"{t.ratio:.3f}"]
            for d in deployments
            for t in d.timings
        ]
        if times:
            head = ["runtime", "batch", "threads", "integer, ms", "float32, ms", "ratio"]
            yield CellTable("Latency", head, times, ["medians; the ratio is taken inside each round."])


def _settings(record: Record, recipe: Recipe | None) -> Iterator[CellTable]:
    """All settings, those that differ from their defaults before the others; without a recipe as they are stored."""
    if recipe is None:
        rows = [[name, value_text(value)] for name, value in leaves(record.settings)]
        yield CellTable("Settings", ["setting", "value"], rows, labels=2)
        return
    for title, differ in (("Settings that are not the default", True), ("Settings that are the default", False)):
        rows = [
            [own.name, value_text(own.value), *([value_text(own.default)] if differ else [])]
            for own in recipe.settings
            if own.differs is differ
        ]
        if rows:
            head = ["setting", "value", *(["default"] if differ else [])]
            yield CellTable(title, head, rows, labels=3, folded=not differ)


def _provenance(record: Record) -> Iterator[CellTable]:
    said = {"key": record.key, **record.provenance, "timings": record.timings}
    rows = [[name, number(value)] for name, value in leaves(said)]
    yield CellTable("Provenance", ["entry", "value"], rows, labels=2, folded=True)
