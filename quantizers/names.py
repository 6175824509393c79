"""The names of a quantized weight: of its site in plans and files, of its module, and of its tensor in a state dict.

A site is a module with the name of one of its Parameters. A layer's own ``weight`` goes by the layer's name alone; any
other Parameter, such as ``in_proj_weight`` of an attention, by the module's name and its own.
"""

from __future__ import annotations

WEIGHT = "weight"


def site_name(module: str, parameter: str) -> str:
    """Return the name of the site of ``parameter`` in the module named ``module``."""
    return module if parameter == WEIGHT else f"{module}.{parameter}".lstrip(".")


def module_name(site: str, parameter: str) -> str:
    """Return the name of the module that holds a site's ``parameter``."""
    return site if parameter == WEIGHT else site.removesuffix(parameter).removesuffix(".")


def weight_key(site: str, parameter: str) -> str:
    """Return the state-dict name of a site's weight."""
    return f"{site}.{WEIGHT}".lstrip(".") if parameter == WEIGHT else site
