"""Neural Network Intelligence (NNI) under our loop: the only file that imports it, and only when it is used.

NNI wants to own the loop: it replaces Parameters, rebuilds the optimizer by name and empties the GPU cache at every
layer call. Its quantization itself lives in ``ModuleWrapper.patch_helper(target, tensor)``: track, then fake-quantize.
So a real NNI quantizer is built over a *carrier*, a model of layers of the sites' types that carries copies of
their weights; each layer's real wrapper, with the carrier's layer taken out, becomes part of a `FakeQuant`, and
``patch_helper`` is called on our tensors. Tracking, ranges, rounding and gradients are NNI's, bit for bit.

Reference: NNI 3.0, https://github.com/microsoft/nni, package nni.compression.
"""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from ..core.errors import MissingPackageError
from .fake_quant import FakeQuant, QParams, flatten_scale
from .packages import NNI
from .sites import SiteQuantizer
from .spec import SiteSpec

WEIGHT, INPUT = "weight", "_input_0"


def nni_quantizer(name: str) -> Any:
    """Return the class ``name`` of nni.compression.quantization.

    Raises:
        MissingPackageError: NNI is not installed; the message has the pip line.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            from nni.compression import quantization  # noqa: PLC0415
    except ImportError as error:
        raise MissingPackageError(f"NNI is not installed ({error}); {NNI['nni']}") from error
    return getattr(quantization, name)


def quiet_backward() -> None:
    """Silence torch's warning about ``ctx.saved_variables``, which NNI reads: one for each layer and step."""
    warnings.filterwarnings("ignore", "'saved_variables' is deprecated", DeprecationWarning)


class NNIQuant(FakeQuant):
    """This fake quantizer is one NNI wrapper with the NNI quantizer it reports to, for a weight or a layer input.

    Args:
        quantizer: name of NNI's class.
        layer: what the carrier holds; its type and, for a weight, its weight count.
        config: NNI's configuration of the target, without names.
        target: ``weight`` or ``_input_0``.

    Attributes:
        scale_factor: factor for the methods whose start is ours to set.
    """

    scale_factor: float = 1.0

    def __init__(self, quantizer: str, layer: nn.Module, config: dict[str, Any], target: str) -> None:
        super().__init__()
        carrier = nn.ModuleDict({"layer": layer})
        names = {"op_names": ["layer"], "target_names": [WEIGHT if target == WEIGHT else "_input_"]}
        self.backend = nni_quantizer(quantizer)(carrier, [{**config, **names}], None)
        self.wrapper: Any = self.backend._module_wrappers["layer"]
        self.target = target
        self.wrapper.unwrap()
        self.wrapper.__dict__.update(module=None, module_forward=None)
        self.wrapper._parameters.pop("weight", None)
        self.backend.bound_model = None
        self._restart = False

    def get(self, what: str) -> Any:
        """Return NNI's tensor or number ``what`` of the target: scale, zero_point, qmin, qmax, tracked_min, ..."""
        return getattr(self.wrapper, f"{self.target}_{what}")

    def restart(self) -> None:
        """Let the next observed batch set the range."""
        self._restart = True

    def forward(self, x: Tensor) -> Tensor:
        """Fake-quantize x as NNI does; ranges are tracked in training and in calibration only."""
        self.wrapper.training = self.observing
        if self.observing and self._restart:
            self.wrapper._buffers[f"{self.target}_tracked_min"] = None
            self.wrapper._buffers[f"{self.target}_tracked_max"] = None
            self._restart = False
        if self.target == WEIGHT:  # NNI reads the weight's shape from the wrapper
            self.wrapper.__dict__[WEIGHT] = x
        try:
            return cast(Tensor, self.wrapper.patch_helper(self.target, x))
        finally:
            self.wrapper.__dict__.pop(WEIGHT, None)

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Return NNI's grid; NNI keeps a per-channel scale as (channels, 1, ...)."""
        scale, zero = self.get("scale").detach(), self.get("zero_point").detach()
        per_channel = scale.dim() > 1
        return QParams(
            scale=flatten_scale(scale, per_channel),
            zero_point=flatten_scale(zero.expand_as(scale), per_channel),
            qmin=self.get("qmin"),
            qmax=self.get("qmax"),
            axis=0 if per_channel else None,
        )


def carrier_layer(weight: Tensor) -> nn.Module:
    """Make a layer with a copy of ``weight``, Linear for a matrix, else a convolution; this draws no random number."""
    kinds: dict[int, Any] = {2: nn.Linear, 3: nn.Conv1d, 4: nn.Conv2d, 5: nn.Conv3d}
    sizes = weight.shape[:2][::-1] if weight.dim() == 2 else (weight.shape[1], weight.shape[0], tuple(weight.shape[2:]))
    empty: Any = torch.nn.utils.skip_init
    layer: nn.Module = empty(kinds[weight.dim()], *sizes, bias=False, device=weight.device)
    layer.weight = nn.Parameter(weight.detach().clone())
    return layer


class NNISiteQuantizer(SiteQuantizer):
    """The NNI methods share this base, which makes NNI's own configuration from a site."""

    requires = NNI
    fixed_scale_reason = "NNI sets it, and its arithmetic is kept bit for bit"
    nni_class: str
    quant: type[NNIQuant] = NNIQuant
    per_tensor_only: ClassVar[str] = ""

    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """Make the fake quantizer and let it see the weight, so that all its state exists."""
        quiet_backward()
        quant = self.quant(self.nni_class, carrier_layer(weight), self.weight_config(site), WEIGHT)
        quant.scale_factor = self.scale_factor
        quant.calibrating = True
        with torch.no_grad():
            quant(weight)
        quant.calibrating = False
        return quant

    def weight_config(self, site: SiteSpec) -> dict[str, Any]:
        """Return NNI's configuration of a weight: its int type, with codes -(2^(b-1) - 1) .. 2^(b-1) - 1."""
        return {
            "quant_dtype": f"int{site.weight_bits}",
            "quant_scheme": "symmetric" if site.symmetric else "affine",
            "granularity": "out_channel" if site.per_channel else "default",
        }

    def refuses(self, site: SiteSpec) -> str:
        """Refuse scales per channel where NNI, or an export of what it learns, has none."""
        if site.granularity != "per_tensor" and self.per_tensor_only:
            return f"{self.name} has one grid for a tensor ({self.per_tensor_only}); write granularity=per_tensor"
        return super().refuses(site)

    def act_config(self, site: SiteSpec) -> dict[str, Any]:
        """Return NNI's configuration of a layer input."""
        return {"quant_dtype": f"uint{site.act_bits}", "quant_scheme": "affine", "granularity": "default"}

    def act_quantizer(self, site: SiteSpec) -> FakeQuant:
        """Use one range for the tensor."""
        layer = carrier_layer(torch.zeros(1, 1, 1, 1))
        return self.quant(self.nni_class, layer, self.act_config(site), INPUT)
