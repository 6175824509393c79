"""Random images for the tests of algorithms that have views or copies of images."""

import torch


def labelled_images(height, width, *sizes):
    """One batch for each size: images (n, 3, height, width) in 0..1 with labels of four classes; the same at each call."""
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.rand(n, 3, height, width, generator=generator), torch.randint(0, 4, (n,), generator=generator))
        for n in sizes
    ]
