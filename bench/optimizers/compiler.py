"""What keeps torch's compiler out of processes that plan or drive a sweep and train nothing."""

from __future__ import annotations

import sys

from torch.optim import Optimizer


def spare_compiler() -> None:
    """Let an optimizer be built, as a plan does, without importing torch's compiler, which takes more than a second.

    torch wraps methods of its optimizers for the compiler and imports it at their first call to do so. Marked as wrapped they
    are called as they are; where the compiler is loaded already nothing is done. The first training step imports it.
    """
    if "torch._dynamo" in sys.modules:
        return
    for method in vars(Optimizer).values():
        wrapped = getattr(method, "__wrapped__", None)
        if wrapped is not None:
            vars(wrapped).setdefault("__dynamo_disable", wrapped)
