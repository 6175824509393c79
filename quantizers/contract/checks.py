"""The contract of a quantizer as checks to run: each one caught a real bug in some published implementation.

A check takes a factory ``make(spec) -> Quantizer``, prepares small nets with it and raises AssertionError with what
to change; it returns a `Skip` where it does not apply. `run_checks` is behind ``quantdg check``;
`quantdg.quantizers.testing.QuantizerContract` offers the same as a test class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from ...core.errors import MissingPackageError
from ...core.threads import one_thread
from . import declaration as checks_declaration
from . import gradient as checks_gradient
from . import grid as checks_grid
from . import groups as checks_groups
from . import input_grid as checks_input_grid
from . import outputs as checks_outputs
from . import post_training as checks_post_training
from . import state as checks_state
from . import training as checks_training
from .trial import MakeQuantizer, Skip

Check = Callable[[MakeQuantizer], Skip | None]
Status = Literal["ok", "skipped", "failed"]

CHECKS: tuple[Check, ...] = (
    checks_declaration.check_declaration,
    checks_training.check_supports,
    checks_training.check_optimizer_covers,
    checks_training.check_learning_rates,
    checks_training.check_everything_trains,
    checks_gradient.check_edge_gradient,
    checks_grid.check_levels,
    checks_grid.check_accuracy,
    checks_grid.check_scale_contract,
    checks_state.check_deepcopy,
    checks_state.check_strict_reload,
    checks_state.check_resume,
    checks_state.check_identity,
    checks_state.check_class_kept,
    checks_state.check_eval_is_pure,
    checks_state.check_calibration,
    checks_grid.check_export,
    checks_grid.check_dequantized_eval,
    checks_input_grid.check_input_grid,
    checks_outputs.check_outputs,
    checks_groups.check_groups,
    checks_grid.check_codes_fit,
    checks_grid.check_plan_is_true,
    checks_grid.check_sites_act,
    checks_grid.check_audit,
    checks_training.check_unmatched_rule,
    checks_training.check_global_rng,
    checks_training.check_averaging,
    checks_post_training.check_post_training,
    checks_training.check_double_backward,
)
"""All checks, in the order of `run_checks`."""


class CheckResult(NamedTuple):
    """A result says what came of one check; ``message`` tells why it was skipped or what failed."""

    name: str
    status: Status
    message: str = ""


def run_check(check: Check, make: MakeQuantizer) -> CheckResult:
    """Run one check; an exception of any kind is a failure with its type and text."""
    name = check.__name__.removeprefix("check_")
    try:
        with one_thread():
            skip = check(make)
    except AssertionError as error:
        return CheckResult(name, "failed", str(error))
    except MissingPackageError as error:
        return CheckResult(name, "skipped", str(error))
    except Exception as error:  # noqa: BLE001 - a stranger's code may raise anything
        return CheckResult(name, "failed", f"{type(error).__name__}: {error}")
    return CheckResult(name, "ok") if skip is None else CheckResult(name, "skipped", skip.reason)


def run_checks(make: MakeQuantizer) -> list[CheckResult]:
    """Run all `CHECKS` on a quantizer class or factory; this takes seconds and touches no global random state."""
    return [run_check(check, make) for check in CHECKS]
