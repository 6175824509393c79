"""``quantdg ensemble``: several finished cells as one predictor."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ...core.paths import default_cache, user_path
from ...core.text import say


def ensemble(argv: Sequence[str]) -> int:
    """Combine finished cells of one target: mean of logits (EoA, EoQ) or mean of weights (DiWA).

    Accuracies are on the whole target domain; the bytes of all members count.
    """
    options = ensemble_parser().parse_args(argv)
    from ..ensembles import cells
    from ..experiment.grid import Paths

    cache = options.cache or default_cache()
    members = cells.open_members(options.cells, Paths(Path(), options.data_root, cache))
    result = cells.combine_cells(members, options.how)
    for member, accuracy in zip(members, result.single, strict=True):
        label = member.record.labels
        say(f"{member.record.key}  {label.algorithm} {label.quantizer} {label.bits} seed {label.seed}  {accuracy:.4f}")
    say(f"{result.how} of {len(result.members)}: {result.accuracy:.4f} on the whole target, {result.bytes} bytes")
    return 0


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
    parser.add_argument("--data-root", type=user_path, help="folder that holds the data sets")
    parser.add_argument("--cache", type=user_path, help="folder of decoded images")
    return parser
