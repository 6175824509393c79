"""Size of an ensemble of quantized models relative to one float model, from the files of its members.

The members are the seeds of one method on one target, as in QT-DoG's ensemble of quantization. Imports no torch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from .deployment import Bytes, Deployment
from .record import Labels


@dataclass(frozen=True)
class EnsembleSize:
    """These are the bytes of an ensemble and of one float model.

    Attributes:
        labels: of the members; ``seed`` is the lowest.
        members: how many.
        float_file: bytes of one float model, the mean over members.
        packed_files: bytes of all members' packed files.
        compressed_files: bytes of all members' compressed files.
        files: the members' deployment records, relative to the run folder.
    """

    labels: Labels
    members: int
    float_file: float
    packed_files: int
    compressed_files: int
    files: tuple[str, ...]

    @property
    def packed_ratio(self) -> float:
        """Bytes of the packed ensemble over those of one float model."""
        return self.packed_files / self.float_file

    @property
    def compressed_ratio(self) -> float:
        """Bytes of the compressed ensemble over those of one float model."""
        return self.compressed_files / self.float_file


def ensemble_sizes(deployments: Iterable[Deployment], members: int = 5) -> list[EnsembleSize]:
    """Size up an ensemble of the ``members`` lowest seeds for each method and target that has so many models.

    Args:
        deployments: of any runtime; a cell deployed in several counts once.
        members: of an ensemble, at least 1.
    """
    groups: dict[Labels, dict[int, tuple[Bytes, str]]] = defaultdict(dict)
    for d in deployments:
        if d.bytes is not None:
            groups[replace(d.labels, seed=0)][d.labels.seed] = d.bytes, d.file
    out = []
    for labels, by_seed in groups.items():
        seeds = sorted(by_seed)[:members]
        if len(seeds) == members:
            sizes, files = zip(*(by_seed[s] for s in seeds), strict=True)
            out.append(_sum(replace(labels, seed=seeds[0]), sizes, files))
    return out


def _sum(labels: Labels, sizes: Sequence[Bytes], files: tuple[str, ...]) -> EnsembleSize:
    return EnsembleSize(
        labels,
        len(sizes),
        sum(b.float_file for b in sizes) / len(sizes),
        sum(b.packed_file for b in sizes),
        compressed_files=sum(b.compressed_file for b in sizes),
        files=files,
    )
