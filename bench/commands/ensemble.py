"""``quantdg ensemble``: several finished cells as one predictor."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import ConfigError
from ...core.paths import default_cache, user_path
from ...core.text import in_a_line, say

if TYPE_CHECKING:
    from ..experiment.grid import Paths


def ensemble(argv: Sequence[str]) -> int:
    """Combine finished cells of one target: mean of logits (EoA, EoQ) or mean of weights (DiWA).

    Accuracies are on the whole target domain; the bytes of all members count. With --over-seeds each row and target
    domain that the patterns name gets the ensemble of its seeds, kept in RUNS/ensembles for reports and claims.
    """
    options = ensemble_parser().parse_args(argv)
    from ..ensembles import cells
    from ..experiment.grid import Paths

    paths = Paths(Path(), options.data_root, options.cache or default_cache())
    if options.over_seeds:
        _over_seeds(options.cells, options.how, paths)
        return 0
    members = cells.open_members(options.cells, paths)
    result = cells.combine_cells(members, options.how)
    for member, accuracy in zip(members, result.single, strict=True):
        label = member.record.labels
        said = in_a_line(f"{label.algorithm} {label.quantizer} {label.bits}")
        say(f"{member.record.key}  {said} seed {label.seed}  {accuracy:.4f}")
    say(f"{result.how} of {len(result.members)}: {result.accuracy:.4f} on the whole target, {result.bytes} bytes")
    return 0


def _over_seeds(names: Sequence[str], how: str, paths: Paths) -> None:
    from rich.console import Console
    from rich.progress import track

    from ..ensembles.seeds import combine_seeds, seed_groups

    if how != "logits":
        raise ConfigError(
            f"--over-seeds takes the mean of logits, since seeds start from different weights, got --how {how}; leave it out"
        )
    groups = seed_groups(names)
    new = [group for group in groups if not group.is_stored]
    console = Console(stderr=True)
    for _ in track(combine_seeds(new, paths), "ensembles", total=len(new), console=console):
        pass
    counts = " or ".join(map(str, sorted({len(group.records) for group in groups})))
    folders = ", ".join(sorted({f"{group.store.root}" for group in groups}))
    say(
        f"ensembles of {counts} seeds: {len(new)} added, {len(groups) - len(new)} there already; quantdg report {folders}"
    )


def ensemble_parser() -> argparse.ArgumentParser:
    """The options of ``quantdg ensemble``."""
    parser = argparse.ArgumentParser("quantdg ensemble", description=ensemble.__doc__)
    parser.add_argument(
        "cells",
        nargs="+",
        metavar="CELL",
        help="RUNS/KEY, or a pattern for several: 'RUNS/DATASET/TARGET/*/ALGORITHM/QUANTIZER'",
    )
    parser.add_argument("--how", default="logits", help="logits (default), diwa or diwa_greedy")
    parser.add_argument(
        "--over-seeds",
        action="store_true",
        help="for each row and target domain the ensemble of its seeds, kept in RUNS/ensembles",
    )
    parser.add_argument("--data-root", type=user_path, help="folder that holds the data sets")
    parser.add_argument("--cache", type=user_path, help="folder of decoded images")
    return parser
