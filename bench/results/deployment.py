"""What deploying a cell measured: RUNS/deploy/KEY-RUNTIME.json, one file for a cell and a runtime. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from ...core.errors import RecordError
from .codec import decoded, encoded, reading
from .files import write_atomic
from .folder import check_key, check_name, inside
from .loading import DESCRIPTIONS
from .record import Labels
from .store import Unreadable, parsed

SCHEMA = 1
FOLDER = "deploy"
Kind = Literal["integer", "size only", "float32", "not exportable", "unavailable", "failed"]
_REQUIRED = frozenset({"schema", "bytes", "timings"})
KINDS: tuple[Kind, ...] = ("integer", "size only", "float32", "not exportable", "unavailable", "failed")


@dataclass(frozen=True)
class Bytes:
    """These are sizes of files written and read back; 0 where there is no such file.

    Attributes:
        float_file: the network in float32, safetensors.
        float_runtime_file: the same as the runtime reads it, ONNX or a program for ExecuTorch.
        runtime_file: the integer network in that form.
        packed_file: b-bit codes, scales and rest.
        compressed_file: codes in bytes, scales and rest under zstd.
        codes: tensor bytes of the codes inside the packed file.
        scales: tensor bytes of scales, zero points and code books in it.
        rest: tensor bytes of everything else in it.
    """

    float_file: int
    float_runtime_file: int
    runtime_file: int
    packed_file: int
    compressed_file: int
    codes: int
    scales: int
    rest: int


@dataclass(frozen=True)
class Timing:
    """A timing sums up interleaved calls of the integer and the float32 file in one process, same runtime.

    Attributes:
        batch: images a call.
        threads: of the runtime.
        clock: ``cpu``, time of the process over all its threads, or ``wall``.
        median_ms: median time of one call of the integer file.
        q25_ms: lower quartile of the same.
        q75_ms: upper quartile of the same.
        float_ms: median and quartiles of the float32 file.
        ratio: median of integer over float32, taken inside each round.
        ratio_q25: lower quartile of the same.
        ratio_q75: upper quartile of the same.
        rounds: of the interleaving.
        calls: averaged in each.
        load: of the machine, mean of the last minute.
    """

    batch: int
    threads: int
    clock: Literal["cpu", "wall"]
    median_ms: float
    q25_ms: float
    q75_ms: float
    float_ms: tuple[float, float, float]
    ratio: float
    ratio_q25: float
    ratio_q75: float
    rounds: int
    calls: int
    load: float


@dataclass(frozen=True)
class Deployment:
    """A deployment is what was measured of one cell in one runtime.

    Attributes:
        key: of the cell.
        labels: of the cell.
        size: image side in pixels.
        kind: ``integer``; ``size only`` where inputs are float, so that no integer arithmetic can run; ``float32``
            for a model without integers; ``not exportable``, ``unavailable`` and ``failed`` come with a ``reason``.
        layers: convolutions and matrix products that the runtime executes, read from the runtime.
        integer_layers: those of them on integers.
        folded: layers whose BatchNorm is in their scales.
        unfolded: layers where a code -128 prevented it.
        difference: see `quantdg.bench.deploy.reference.Proof`, over ``images`` images.
        noise: see `quantdg.bench.deploy.reference.Proof`, over ``images`` images.
        limit: see `quantdg.bench.deploy.reference.Proof`, over ``images`` images.
        images_changed: of ``images``, those whose predicted class is another; None before 0.4.
        recorded_images: the cell's record keeps the trained network's logits on so many; 0 before 0.4.
        recorded_difference: see `quantdg.bench.deploy.reference.Proof`, over those.
        recorded_limit: see `quantdg.bench.deploy.reference.Proof`.
        recorded_changed: see `quantdg.bench.deploy.reference.Proof`.
        fused_difference: the same distance in the configuration that is timed.
        accuracy: on the whole target domain, from the runtime.
        stored_accuracy: the same from the cell's record.
        changed: images on which the two disagree about being correct.
        target_in: as in a `quantdg.bench.results.record.Row`, from the runtime.
        correct: as in a `quantdg.bench.results.record.Row`, from the runtime.
        timings: empty unless ``integer``, and for cells that another one stands for.
        machine: where it was measured.
        versions: of the packages it was measured with.
    """

    key: str
    labels: Labels
    runtime: str
    kind: Kind
    reason: str = ""
    size: int = 0
    bytes: Bytes | None = None
    layers: int = 0
    integer_layers: int = 0
    folded: int = 0
    unfolded: int = 0
    images: int = 0
    images_changed: int | None = None
    recorded_images: int = 0
    recorded_difference: float | None = None
    recorded_limit: float | None = None
    recorded_changed: int | None = None
    difference: float | None = None
    fused_difference: float | None = None
    noise: float | None = None
    limit: float | None = None
    accuracy: float | None = None
    stored_accuracy: float | None = None
    changed: int | None = None
    target_in: float | None = None
    correct: str = ""
    timings: tuple[Timing, ...] = ()
    machine: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    schema: int = SCHEMA

    @property
    def file(self) -> str:
        """It is stored here, relative to the run folder."""
        return f"{FOLDER}/{self.key}-{self.runtime}.json"

    @property
    def same_model(self) -> bool | None:
        """Whether the runtime computes the stored and the trained network; None where that was not measured."""
        if self.difference is None or self.limit is None:
            return None
        trained = self.recorded_difference is None or self.recorded_difference <= (self.recorded_limit or 0.0)
        return trained and self.difference <= self.limit

    @property
    def changes(self) -> str:
        """What changed although it is the same model, in words: a value that rounds the other way may turn an image."""
        said = []
        if self.images_changed:
            said.append(f"{self.images_changed} of {self.images} images get another class")
        if self.recorded_changed:
            said.append(f"{self.recorded_changed} of {self.recorded_images} recorded images get another class")
        if self.changed:
            said.append(f"{self.changed} images of the target turn from right to wrong or back")
        return ", ".join(said)

    def to_json(self) -> str:
        """Return the record as JSON indented by 1; a number that is not finite is a RecordError that names the field."""
        return encoded(self)

    @classmethod
    def from_json(cls, text: str, name: str = "deployment") -> Deployment:
        """Parse and check; ``name`` goes into the message of the RecordError."""
        with reading(name, "deployment record"):
            head = msgspec.json.decode(text, type=_Head)
            if head.schema != SCHEMA or head.kind not in KINDS:
                raise RecordError(f"{name} has schema {head.schema} and kind {head.kind!r}; deploy the cell again")
            made = decoded(cls, text, _REQUIRED)
            check_key(made.key, name)
            return made


class _Head(msgspec.Struct):
    schema: int
    kind: str


def write_deployment(root: Path, deployment: Deployment) -> Path:
    """Store atomically below the run folder ``root``; a newer one of the same cell and runtime replaces it."""
    path = inside(root, deployment.file)
    write_atomic(path, deployment.to_json())
    return path


def deployments(root: Path) -> Iterator[Deployment | Unreadable]:
    """Yield all records of a run folder in file order; damaged files come as Unreadable."""
    return parsed(root, FOLDER, _named, other=DESCRIPTIONS)


def _named(text: str, path: Path) -> Deployment:
    made = Deployment.from_json(text, str(path))
    check_name(path, made.file)
    return made
