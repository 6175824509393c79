r"""NNI QAT: moving-average ranges as Neural Network Intelligence 3.0 ships them.

    m <- 0.99 m + 0.01 batch   for min and max of weights and inputs, the first batch sets them, 0 always inside
    s = max(|min|, |max|) / ((qmax - qmin) / 2),  z = 0                   symmetric
    s = (max - min) / (qmax - qmin),  z = qmin - round(min / s)          affine
    x_q = s (round(clip(x / s + z, qmin, qmax)) - z),   dx_q/dx = 1 inside the range, else 0

Weights use -(2^(b-1) - 1) .. 2^(b-1) - 1 (-63 .. 63 at 7 bits), inputs 0 .. 2^b - 1, affine, one range for the tensor.
The backward overwrites the incoming gradient in place and offers no second derivative.

Reference: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", CVPR 2018, section 3, as implemented in NNI 3.0 (QATQuantizer).
"""

from __future__ import annotations

from .nni_adapter import NNISiteQuantizer


class NNIQAT(NNISiteQuantizer):
    """NNI QAT runs NNI's QATQuantizer with quant_start_step=0.

    After weight averaging the ranges are stale: ``averaged="recalibrate"`` tracks them anew, ``"keep"`` does not.
    """

    name = "nni_qat"
    reference = "Jacob et al., CVPR 2018, in NNI 3.0"
    meaning = "rounding within moving-average ranges, as NNI implements it"
    family = "uniform"
    double_backward = False
    affine = True
    averages = ("recalibrate", "keep")
    nni_class = "QATQuantizer"
