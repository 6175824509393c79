"""Image sets of many domains, most of them DomainBed's: their folders, and where a public server hands out plain files.

PACS, VLCS and OfficeHome are shared through pages that ask for a browser, and TerraIncognita has to be put together
from the archive of Caltech Camera Traps, so these are fetched by hand. DomainNet's makers serve one zip a domain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_VISDA = "http://csr.bu.edu/ftp/visda/2019/multi-source/"


@dataclass(frozen=True)
class ImageSet:
    """An image set says what DomainBed's layout of one published set looks like, and where its files come from.

    Attributes:
        folder: below the folder of all data sets.
        domains: in index order.
        images: in all, as published.
        page: of its makers.
        archives: addresses of zip files by domain; empty where files have to be fetched by hand.
        domainbed: whether DomainBed has it, and a script that fetches it.
        layout: of its folder.
    """

    folder: str
    domains: tuple[str, ...]
    images: int
    page: str
    archives: Mapping[str, str] = field(default_factory=dict)
    domainbed: bool = True
    layout: str = "DOMAIN/CLASS/IMAGE"


IMAGE_SETS = {
    "pacs": ImageSet("PACS", ("art_painting", "cartoon", "photo", "sketch"), 9991, "eecs.qmul.ac.uk/~dl307"),
    "vlcs": ImageSet("VLCS", ("Caltech101", "LabelMe", "SUN09", "VOC2007"), 10729, "eecs.qmul.ac.uk/~dl307"),
    "office_home": ImageSet(
        "office_home", ("Art", "Clipart", "Product", "Real World"), 15588, "hemanthdv.org/OfficeHome-Dataset"
    ),
    "terra_incognita": ImageSet(
        "terra_incognita",
        ("location_100", "location_38", "location_43", "location_46"),
        24788,
        "lila.science/datasets/caltech-camera-traps",
    ),
    "domain_net": ImageSet(
        "domain_net",
        ("clipart", "infograph", "painting", "quickdraw", "real", "sketch"),
        586575,
        "ai.bu.edu/M3SDA",
        archives={
            "clipart": f"{_VISDA}groundtruth/clipart.zip",
            "infograph": f"{_VISDA}infograph.zip",
            "painting": f"{_VISDA}groundtruth/painting.zip",
            "quickdraw": f"{_VISDA}quickdraw.zip",
            "real": f"{_VISDA}real.zip",
            "sketch": f"{_VISDA}sketch.zip",
        },
    ),
    "office_caltech": ImageSet(
        "office_caltech",
        ("amazon", "caltech10", "dslr", "webcam"),
        2533,
        "the makers of Office-31 and Caltech-256 (Gong et al., CVPR 2012)",
        domainbed=False,
    ),
    "digits_dg": ImageSet(
        "digits_dg",
        ("mnist", "mnist_m", "svhn", "syn"),
        24000,
        "github.com/KaiyangZhou/Dassl.pytorch (Zhou et al., AAAI 2020)",
        domainbed=False,
        layout="DOMAIN/train|val/CLASS/IMAGE",
    ),
    "digits_real": ImageSet(
        "digits_real",
        ("mnist", "mnist_m", "usps"),
        9000,
        "the makers of MNIST, MNIST-M and USPS, the first 300 images of each digit",
        domainbed=False,
    ),
}
