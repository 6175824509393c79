"""Get the files of a data set, or say plainly what to fetch by hand and where to put it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from ..core.errors import DataError, UnknownNameError
from .download import Progress, fetch
from .inventory import Inventory, inspect
from .sources import IMAGE_SETS
from .unpack import unpack

__all__ = ["MNIST_FILES", "MNIST_SOURCE", "Inventory", "inspect", "instructions", "prepare"]

MNIST_SOURCE = "https://ossci-datasets.s3.amazonaws.com/mnist/"
MNIST_FILES = {  # name: md5, as torchvision has them
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
_FROM_MNIST = ("rotated_mnist", "colored_mnist", "colored_mnist_irm")
_OF_WILDS = {"camelyon17": "camelyon17_v1.0", "iwildcam": "iwildcam_v2.0"}
_FROM_HUB = ("hub", "pacs_hub", "office_home_hub")
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")


def instructions(name: str, root: Path) -> str:
    """Say in sentences what has to lie where for the data set ``name``.

    Raises:
        UnknownNameError: none of the built-in data sets has that name.
    """
    if name == "digits":
        return "digits needs no files."
    if name in _FROM_HUB:
        return f"Give the commit of the hub's repository, or put a local copy of it at {root / 'PATH'} and write dataset.path=PATH."
    if name == "folder":
        return f"Put your images at {root}/DOMAIN/CLASS/IMAGE, two domains or more with the same class names."
    if name in _OF_WILDS:
        return f"Fetch it with the package wilds or from wilds.stanford.edu, and put its folder at {root / _OF_WILDS[name]}."
    if name in _FROM_MNIST:
        return f"Put MNIST's four idx files ({', '.join(MNIST_FILES)}, or unpacked) into {root / 'MNIST' / 'raw'}."
    if name not in IMAGE_SETS:
        raise UnknownNameError(
            "data set", name, ["digits", "folder", *_FROM_HUB, *_OF_WILDS, *_FROM_MNIST, *IMAGE_SETS]
        )
    chosen = IMAGE_SETS[name]
    script = f" DomainBed's script makes this layout where its links still work: python3 -m domainbed.scripts.download --data_dir={root}"
    return (
        f"Fetch {chosen.folder} by hand, from {chosen.page} for example. Put the images at "
        f"{root / chosen.folder}/{chosen.layout} with the domain folders {', '.join(chosen.domains)}; "
        f"{chosen.images:,} images in all. An archive {root / chosen.folder}.zip or .tar.gz with these folders is "
        f"unpacked.{script if chosen.domainbed else ''}"
    )


def prepare(name: str, root: Path | None, progress: Progress | None = None, source: str = MNIST_SOURCE) -> None:
    """Make sure that the files of ``name`` lie below ``root``.

    Downloads MNIST (11 MB) and DomainNet (one zip a domain, some 20 GB) where they are missing, unpacks an archive that
    lies where the folder of another set should be, and leaves what is there alone.

    Args:
        name: of a built-in data set.
        root: the folder of all data sets.
        progress: called with (bytes done, bytes in all) of each file.
        source: address of a folder with MNIST's files.

    Raises:
        DataError: files are missing and have to be fetched by hand (the message says how), or the download failed.
        UnknownNameError: none of the built-in data sets has that name.
    """
    if name == "digits" or name in _FROM_HUB:
        return  # loading is fetching
    if root is None:
        raise DataError(f"data set {name!r} is read from disk; set data.root to the folder for the data sets")
    words = instructions(name, root)
    if name in _FROM_MNIST:
        raw = root / "MNIST" / "raw"
        for file, md5 in MNIST_FILES.items():
            if not (raw / file.removesuffix(".gz")).is_file():
                fetch(source + file, raw / file, f"md5:{md5}", progress)
    elif name in IMAGE_SETS:
        _prepare_images(name, root, progress, words)
    elif name in _OF_WILDS:
        if not any((folder / "metadata.csv").is_file() for folder in (root, root / _OF_WILDS[name])):
            raise DataError(f"no {root / _OF_WILDS[name] / 'metadata.csv'}. {words}")
    elif not root.is_dir():
        raise DataError(words)


def _prepare_images(name: str, root: Path, progress: Progress | None, words: str) -> None:
    chosen = IMAGE_SETS[name]
    base = root if root.name == chosen.folder else root / chosen.folder
    archive = next((a for a in (base.with_name(base.name + end) for end in _ARCHIVES) if a.is_file()), None)
    if archive is not None and not base.exists():
        _place(archive, base, [domain for domain in chosen.domains if domain not in chosen.archives])
    missing = [domain for domain in chosen.domains if not (base / domain).is_dir()]
    for domain in [m for m in missing if m in chosen.archives]:
        file = fetch(chosen.archives[domain], base / f".{domain}.zip", progress=progress)
        try:
            _place(file, base / domain)
        finally:
            file.unlink()  # a damaged one is fetched again
        missing.remove(domain)
    if missing:
        again = f" Remove {base}, so that {archive} is unpacked again." if archive is not None else ""
        raise DataError(f"{base} has no folder {', '.join(missing)}. {words}{again}")


def _place(archive: Path, target: Path, wanted: Sequence[str] = ()) -> None:
    """Unpack to ``target``: the folder of that name inside the archive, or else all of it.

    Raises DataError, with nothing at ``target``, where it is damaged, empty or without one of the folders ``wanted``.
    """
    work = target.with_name(f".{target.name}-unpacked")
    shutil.rmtree(work, ignore_errors=True)
    try:
        inside = unpack(archive, work) / target.name
        found = inside if inside.is_dir() else work
        lacking = [name for name in wanted if not (found / name).is_dir()]
        if lacking or not any(found.iterdir()):
            there = ", ".join(sorted(path.name for path in found.iterdir())[:8]) or "nothing"
            raise DataError(
                f"{archive} must hold the folders {', '.join(wanted) or 'of a data set'}, it has {there}; put the right "
                "archive in its place"
            )
        found.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
