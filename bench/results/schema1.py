"""Records of schema 1, written by version 0.3, as records of schema 2. Imports no torch.

Schema 1 named each part by its import path, and called the step rule an optimizer; schema 2 names parts as the
configuration does. The names below are those of version 0.3 and never change; a path that is not among them belonged
to somebody else's part, which no record can open any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DATASETS = {
    "folder": "folder.load_folder",
    "pacs": "folder.load_folder",
    "vlcs": "folder.load_folder",
    "office_home": "folder.load_folder",
    "terra_incognita": "folder.load_folder",
    "domain_net": "folder.load_folder",
    "digits": "digits.load_digits",
    "rotated_mnist": "rotated_mnist.load_rotated_mnist",
    "colored_mnist": "colored_mnist.load_colored_mnist",
    "colored_mnist_irm": "colored_mnist.load_colored_mnist_irm",
}
_MODELS = {
    "convnet": "convnet.convnet",
    "mnist_cnn": "mnist_cnn.mnist_cnn",
    "mobilenet_v1": "mobilenet_v1.mobilenet_v1",
    "timm": "timm_model.timm_model",
    "resnet18": "vision.vision",
    "resnet50": "vision.vision",
    "mobilenet_v2": "vision.vision",
    "squeezenet": "vision.vision",
    "vit_b_16": "vision.vision",
}
_ALGORITHMS = {
    "coral": "coral.CORAL",
    "dann": "dann.DANN",
    "erm": "erm.ERM",
    "fishr": "fishr.Fishr",
    "groupdro": "groupdro.GroupDRO",
    "irm": "irm.IRM",
    "mldg": "mldg.MLDG",
    "mmd": "mmd.MMD",
    "rsc": "rsc.RSC",
    "sagnet": "sagnet.SagNet",
    "sd": "sd.SD",
    "vrex": "vrex.VREx",
}
_QUANTIZERS = {
    "apot": "apot.APoT",
    "dorefa": "dorefa.DoReFa",
    "float": "float_.Float",
    "freeze": "freeze.Freeze",
    "inq": "inq.INQ",
    "lsq": "lsq.LSQ",
    "nni_lsq": "nni_lsq.NNILSQ",
    "nni_lsq_paper": "nni_lsq.NNILSQ",
    "nni_qat": "nni_qat.NNIQAT",
    "pact": "pact.PACT",
    "round_freeze": "round_freeze.RoundFreeze",
    "torch_ao": "torch_ao.TorchAO",
    "torch_ao_learnable": "torch_ao_learnable.TorchAOLearnable",
    "uniform_noise": "uniform_noise.UniformNoise",
}
_AVERAGES = {"ema": "ema.EMA", "sma": "sma.SMA", "swad": "swad.SWAD", "swad_reference": "swad.SWAD"}
_TRANSFORMS = {"mixstyle": "mixstyle.MixStyle", "mixup": "mixup.Mixup"}
_STEP_RULES = {"plain": "base.Plain", "sam": "sam.SAM"}
_PLACES = {
    "dataset": ("quantdg.datasets.", _DATASETS),
    "model": ("quantdg.bench.models.", _MODELS),
    "algorithm": ("quantdg.bench.algorithms.", _ALGORITHMS),
    "quantizer": ("quantdg.quantizers.", _QUANTIZERS),
    "averaging": ("quantdg.bench.averaging.", _AVERAGES),
    "transform": ("quantdg.bench.transforms.", _TRANSFORMS),
    "step_rule": ("quantdg.bench.optimizers.", _STEP_RULES),
}
_IMPLIED = {"quantdg.quantizers.pact.PACT": {"guard": False}}
"""What version 0.3 did without naming it, where the default is another now."""
_ADAM = {"component": "adam", "name": "adam", "options": {"betas": [0.9, 0.999]}}
_NO_SCHEDULE = {"component": "none", "name": "none", "options": {}}


def upgraded(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record of schema 1, as parsed JSON, in the form of schema 2; its key stays what it was.

    Raises KeyError, TypeError or AttributeError where it is no whole record.
    """
    return {**raw, "settings": upgraded_settings(raw["settings"]), "schema": 2}


def upgraded_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that version 0.4 gives the same cell, in their canonical form except for the numbers."""
    out = dict(settings)
    for group in ("dataset", "model", "algorithm", "quantizer"):
        if group in out:
            out[group] = _part(group, out[group])
    out["transforms"] = {name: _part("transform", part) for name, part in settings.get("transforms", {}).items()}
    if "averages" in out:
        out["averages"] = {name: _part("averaging", part) for name, part in out["averages"].items()}
    if out.get("match"):
        like = out["match"]["like"]
        out["match"] = {**out["match"], "like": _part("quantizer", like) if like else None}
    rule = out.pop("optimizer", None)
    if rule is not None:
        plain = {**rule, "name": "plain"} if rule["name"] == "adam" else rule
        out |= {"step_rule": _part("step_rule", plain), "optimizer": _ADAM, "schedule": _NO_SCHEDULE}
    return out


def _part(group: str, part: Mapping[str, Any]) -> dict[str, Any]:
    """One part with the name of its configuration file in place of its import path."""
    rest = {key: value for key, value in part.items() if key != "target"}
    prefix, names = _PLACES[group]
    target, name = str(part["target"]), str(part["name"])
    same = [choice for choice, place in names.items() if prefix + place == target]
    if not same:
        return {"component": name, **rest, "origin": f"import {target}"}
    rest["options"] = {**_IMPLIED.get(target, {}), **rest.get("options", {})}
    return {"component": name if name in same else same[0], **rest}
