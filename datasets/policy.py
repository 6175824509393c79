"""What is done to a training image, by name."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.errors import ConfigError, UnknownNameError


@dataclass(frozen=True)
class Augmentation:
    """This is what is done to a training image.

    Attributes:
        crop: smallest and largest area of the crop as a fraction of the image; (1, 1) crops nothing.
        flip: probability of a left-right mirror.
        jitter: strengths of brightness, contrast, saturation (factor 1-s..1+s, s in 0..1) and hue (-s..s of the
            circle, s in 0..0.5); needs three channels unless all are 0.
        grayscale: probability of dropping the colour; needs three channels unless 0.
    """

    crop: tuple[float, float] = (1.0, 1.0)
    flip: float = 0.0
    jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    grayscale: float = 0.0

    def __post_init__(self) -> None:
        low, high = self.crop
        if not 0 < low <= high <= 1:
            raise ConfigError(f"crop needs 0 < low <= high <= 1, got {self.crop}; write (1, 1) for no crop")
        for name, value in (("flip", self.flip), ("grayscale", self.grayscale)):
            if not 0 <= value <= 1:
                raise ConfigError(f"{name} is a probability 0..1, got {value}; write 0 to switch it off")
        if not all(0 <= s <= 1 for s in self.jitter[:3]) or not 0 <= self.jitter[3] <= 0.5:
            raise ConfigError(
                f"jitter needs three strengths 0..1 and a hue 0..0.5, got {self.jitter}; DomainBed has 0.3"
            )

    @property
    def colour(self) -> bool:
        """True where any operation needs RGB."""
        return any(self.jitter) or self.grayscale > 0


AUGMENTATIONS = {
    "domainbed": Augmentation((0.7, 1.0), 0.5, (0.3, 0.3, 0.3, 0.3), 0.1),
    "digits": Augmentation(crop=(0.85, 1.0)),
    "none": Augmentation(),
}


def get_augmentation(name: str) -> Augmentation:
    """Return the augmentation called ``name``; UnknownNameError where there is none."""
    if name not in AUGMENTATIONS:
        raise UnknownNameError("augmentation", name, AUGMENTATIONS)
    return AUGMENTATIONS[name]
