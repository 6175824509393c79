"""The folder for temporary files of a driver: removed when it ends, and by the next one where a kill left it."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from dataclasses import asdict
from multiprocessing.util import get_temp_dir
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from .process import Identity, current_process, is_dead

MARK = "quantdg.json"
_LONGEST_MARK = 10_000


def mark_temporary_folder() -> Path:
    """Return the folder that multiprocessing keeps for this process, marked as ours; folders of dead drivers go.

    Only a folder of this user with the mark of a process that is certainly gone is removed.
    """
    folder = Path(get_temp_dir())
    mark = folder / MARK
    if not mark.exists():
        mark.write_text(json.dumps(asdict(current_process())))
        for left in folder.parent.glob(f"pymp-*/{MARK}"):
            with suppress(OSError, ValueError, RecursionError):
                if _abandoned(left):
                    shutil.rmtree(left.parent)
    return folder


def _abandoned(mark: Path) -> bool:
    folder, file = os.lstat(mark.parent), os.lstat(mark)
    if not S_ISDIR(folder.st_mode) or folder.st_uid != os.getuid():
        return False
    if not S_ISREG(file.st_mode) or file.st_size > _LONGEST_MARK:
        return False
    who = Identity.parse(json.loads(mark.read_text()))
    return who is not None and is_dead(who)
