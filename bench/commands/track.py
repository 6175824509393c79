"""``quantdg track``: the results of a run folder in a tracking tool."""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

from ...core.paths import user_path
from ...core.text import say


def track(argv: Sequence[str]) -> int:
    """Hand the cells, tables and page of a run folder to tracking tools; what was handed over before is not again."""
    options = track_parser().parse_args(argv)
    from ...core.cli import dispatch
    from ..results.folder import listed
    from ..results.store import CELLS, RunStore
    from ..tracking.tracking import Tracking, report_files

    store = RunStore(options.folder)
    tracking = Tracking(store, tuple(dict.fromkeys(options.to)), partial(say, file=sys.stderr))
    if options.again:
        for ledger in tracking.ledgers.values():
            ledger.forget()
    tracking.cells(path.stem for path in listed(store.root, CELLS, ".json"))
    with redirect_stdout(io.StringIO()), tempfile.TemporaryDirectory() as folder:
        dispatch(["report", str(options.folder), "--out", folder, "--cells", "none"])
        tracking.report(*report_files(Path(folder)))
        tracking.finish()
    for name, count in tracking.told.items():
        say(
            f"{name}: {count} cells and the report, in {tracking.ledgers[name].folder} unless its settings name another place"
        )
    return 0 if tracking.complete else 1


def track_parser() -> argparse.ArgumentParser:
    """The options of ``quantdg track``."""
    parser = argparse.ArgumentParser("quantdg track", description=track.__doc__)
    parser.add_argument("folder", type=user_path, help="a run folder, as given with out=")
    parser.add_argument(
        "--to",
        action="append",
        required=True,
        metavar="TOOL",
        help="tensorboard, wandb, mlflow, trackio or another package's; may be given several times",
    )
    parser.add_argument("--again", action="store_true", help="hand over everything, also what was before")
    return parser
