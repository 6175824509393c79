"""What a trained network answers on a few target images: kept so that its stored model can be held against it.

Imports no torch.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...core.errors import RecordError

MOST_IMAGES, FEWEST_IMAGES, MOST_VALUES = 32, 4, 1024
"""A record grows by at most 5.6 kB, up to 256 classes."""


@dataclass(frozen=True)
class Logits:
    """These are the logits of a record's headline weights on some images of the target domain, in eval mode.

    Attributes:
        images: places of the images in the target domain, in data-set order, separated by blanks.
        values: base64 of little-endian float32, shape (images, classes).
    """

    images: str
    values: str

    @classmethod
    def of(cls, images: NDArray[np.int64], values: NDArray[np.float32]) -> Logits:
        """Encode logits (images, classes) of the images at these places."""
        return cls(" ".join(map(str, images)), base64.b64encode(values.astype("<f4").tobytes()).decode())

    def index(self) -> NDArray[np.int64]:
        """Return the places of the images in the target domain."""
        return np.array(self.images.split(), dtype=np.int64)

    def array(self) -> NDArray[np.float32]:
        """Return the logits, shape (images, classes); RecordError where the text is not whole."""
        try:
            flat = np.frombuffer(base64.b64decode(self.values, validate=True), dtype="<f4")
            return flat.reshape(len(self.images.split()), -1).astype(np.float32)
        except ValueError as error:
            raise RecordError(f"the logits of a record must be whole ({error}); run the cell again") from error


def spread(count: int, classes: int) -> NDArray[np.int64]:
    """Return the places of at most 32 images, spread over a domain of ``count``; fewer where there are many classes."""
    wanted = min(MOST_IMAGES, max(FEWEST_IMAGES, MOST_VALUES // classes))
    return evenly(wanted, count)


def evenly(wanted: int, count: int) -> NDArray[np.int64]:
    """Return ``wanted`` places of ``count``, the first and the last among them; all where there are no more."""
    return np.linspace(0, count - 1, min(wanted, count)).astype(np.int64)
