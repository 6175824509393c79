"""Get the files of a data set, or say plainly what to fetch by hand and where to put it.

Only MNIST has a public source that can be relied on. The links of the image sets die often and some sets carry no
licence, so their files are for you to fetch.
"""

from __future__ import annotations

from pathlib import Path

from quantdg.core.errors import DataError, UnknownNameError
from quantdg.datasets.download import Progress, fetch
from quantdg.datasets.inventory import Inventory, inspect

__all__ = ["MNIST_FILES", "MNIST_SOURCE", "Inventory", "inspect", "instructions", "prepare"]

MNIST_SOURCE = "https://ossci-datasets.s3.amazonaws.com/mnist/"
MNIST_FILES = {  # name: md5, as torchvision has them
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
_FROM_MNIST = ("rotated_mnist", "colored_mnist", "colored_mnist_irm")
_BY_HAND = {
    "pacs": ("PACS", "art_painting, cartoon, photo, sketch", "9,991"),
    "vlcs": ("VLCS", "Caltech101, LabelMe, SUN09, VOC2007", "10,729"),
    "office_home": ("office_home", "Art, Clipart, Product, Real World", "15,588"),
    "terra_incognita": ("terra_incognita", "location_100, location_38, location_43, location_46", "24,788"),
    "domain_net": ("domain_net", "clipart, infograph, painting, quickdraw, real, sketch", "586,575"),
}


def instructions(name: str, root: Path) -> str:
    """What has to lie where for the data set ``name``, in sentences.

    Raises:
        UnknownNameError: none of the built-in data sets has that name.
    """
    if name == "digits":
        return "digits needs no files."
    if name == "folder":
        return f"Put your images at {root}/DOMAIN/CLASS/IMAGE, two domains or more with the same class names."
    if name in _FROM_MNIST:
        return f"Put MNIST's four idx files ({', '.join(MNIST_FILES)}, or unpacked) into {root / 'MNIST' / 'raw'}."
    if name not in _BY_HAND:
        raise UnknownNameError("data set", name, ["digits", "folder", *_FROM_MNIST, *_BY_HAND])
    folder, domains, count = _BY_HAND[name]
    return (
        f"No source of {folder} can be relied on, so fetch it by hand. Put the images at "
        f"{root / folder}/DOMAIN/CLASS/IMAGE with the domain folders {domains}; {count} images in all. "
        "DomainBed's script makes this layout where its links still work: "
        f"python3 -m domainbed.scripts.download --data_dir={root}"
    )


def prepare(name: str, root: Path | None, progress: Progress | None = None, source: str = MNIST_SOURCE) -> None:
    """Make sure that the files of ``name`` lie below ``root``; downloads MNIST (11 MB) where needed.

    Args:
        name: of a built-in data set.
        root: the folder of all data sets.
        progress: called with (bytes done, bytes in all) of each file.
        source: address of a folder with MNIST's files.

    Raises:
        DataError: files are missing and have to be fetched by hand (the message says how), or the download failed.
        UnknownNameError: none of the built-in data sets has that name.
    """
    if name == "digits":
        return
    if root is None:
        raise DataError(f"data set {name!r} is read from disk; set data.root to the folder for the data sets")
    words = instructions(name, root)
    if name in _FROM_MNIST:
        raw = root / "MNIST" / "raw"
        for file, md5 in MNIST_FILES.items():
            if not (raw / file.removesuffix(".gz")).is_file():
                fetch(source + file, raw / file, f"md5:{md5}", progress)
        return
    folder = _BY_HAND[name][0] if name in _BY_HAND else ""
    if not (root / folder).is_dir() and root.name != folder:
        raise DataError(words)
