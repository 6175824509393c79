"""Paths that users name, checked before anything is read or written there. Imports no torch."""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG

from .errors import ConfigError

_LONGEST_NAME, _LONGEST_PATH = 255, 3500  # bytes; the path leaves room for what is put below it
_MOST_KEPT = 100
_OTHER = re.compile(r"[^\w+@-]", re.ASCII)
_PLAIN = re.compile(rf"\w[\w+@.-]{{0,{_MOST_KEPT - 1}}}")


def user_path(text: str, what: str = "a path") -> Path:
    """Return a path that a user has written, ``~`` and ``~name`` replaced.

    Args:
        text: as it was written.
        what: the setting, for the message.

    Raises:
        ConfigError: it is no text, empty or too long for a disk, or names a home folder that is not known.
    """
    if not isinstance(text, str) or not text.strip():
        raise ConfigError(f"{what} must be a path, got {text!r}; write for example ./runs")
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"{what} must be a path, got {text!r}, and no such home folder is known here; write the whole path"
        ) from error
    encoded = os.fsencode(path)
    longest = max((len(part) for part in encoded.split(os.fsencode(os.sep))), default=0)
    if longest > _LONGEST_NAME or len(encoded) > _LONGEST_PATH or b"\0" in encoded:
        raise ConfigError(
            f"{what} must be a path with at most {_LONGEST_NAME} bytes a name and {_LONGEST_PATH} in all, got {longest} and "
            f"{len(encoded)}: {text[:40]!r}...; write a shorter one"
        )
    return path


def output_file(text: str, what: str = "an output file", ending: str = "") -> Path:
    """Return the path of a file to be written: nothing else than a plain file may be there, which is then replaced.

    Raises:
        ConfigError: a folder, a link, a device or the like is there, the path is none, or it has another ending than
            ``ending``, so that its name would promise what it does not hold.
    """
    path = user_path(text, what)
    with suppress(OSError):
        if not S_ISREG(os.lstat(path).st_mode):
            raise ConfigError(
                f"{what} must be a new or a plain file, {path} is a folder, a link or a device; write another name"
            )
    if ending and path.suffix != ending:
        raise ConfigError(f"{what} must end in {ending}, got {path}; write {path.with_suffix(ending)}")
    return path


def output_folder(text: str, what: str = "an output folder") -> Path:
    """Return the path of a folder to write to; ConfigError where something else is there, or the path is none."""
    path = user_path(text, what)
    if os.path.lexists(path) and not path.is_dir():
        raise ConfigError(f"{what} must be a folder, {path} is something else; write another name")
    return path


def file_name(text: str) -> str:
    """Return a name as part of a file name: a name may come from a stranger's record, and leads to no other folder.

    A plain one stays as it is; of any other each other character becomes ``_``, and eight digits of its hash follow.
    """
    if _PLAIN.fullmatch(text):
        return text
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{_OTHER.sub('_', text)[:_MOST_KEPT]}-{digest}"


def default_cache() -> Path:
    """Return where decoded images and the page's JavaScript go: QUANTDG_CACHE, else ``quantdg`` in the user's cache folder."""
    own = os.environ.get("QUANTDG_CACHE")
    if own:
        return user_path(own, "QUANTDG_CACHE")
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return user_path(base, "XDG_CACHE_HOME") / "quantdg" if base else Path.home() / ".cache" / "quantdg"
    except RuntimeError as error:
        raise ConfigError(
            "decoded images need a folder, and this user has no home folder; write data.cache=FOLDER, or set QUANTDG_CACHE"
        ) from error
