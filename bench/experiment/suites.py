"""A suite: data sets that are run together, each with the settings that are its own."""

from __future__ import annotations

from tabulate import tabulate

from ...core.errors import UnknownNameError
from .load import load
from .offers import comment_of, own_files

_COLUMNS = ("dataset", "pixels", "model", "protocol", "steps", "start step", "check every", "batch", "augmentation")


def suite_text(name: str) -> str:
    """Return what a suite is, with a row for each of its data sets; UnknownNameError where there is none of this name."""
    files = own_files("suite")
    if name not in files:
        raise UnknownNameError("suite", name, files)
    rows = []
    for setup in load([f"suite={name}"]).setups:
        protocol = setup.protocol
        first = (setup.name, setup.dataset.options.get("size", ""), setup.model.name, protocol.name, protocol.steps)
        rows.append((*first, protocol.start_step, protocol.check_every, protocol.batch_size, protocol.augmentation))
    table = tabulate(rows, _COLUMNS, disable_numparse=True)
    how = "dataset=[NAME,NAME] takes some of them; protocol.NAME.SETTING=VALUE changes one, protocol.SETTING=VALUE all."
    return f"suite {name}: {comment_of(files[name])}\n\n{table}\n\n{how}"
