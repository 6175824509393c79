"""How the verdict answers, fixed in the configuration and kept with the run, so that nobody chooses after looking.

Imports no torch.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ...core.errors import ConfigError, RecordError
from ...core.numbers import check_numbers
from .codec import WRONG
from .files import write_first
from .folder import read_text

FILE = "verdict.json"


@dataclass(frozen=True)
class Rules:
    """These are ``verdict.alpha`` and ``verdict.margin`` of the configuration.

    Attributes:
        alpha: level of every test, between 0 and 0.5.
        margin: largest difference that does not matter, points, above 0.
    """

    alpha: float = 0.05
    margin: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 0.5:
            raise ConfigError(f"alpha must lie between 0 and 0.5, got {self.alpha}; write for example alpha=0.05")
        check_numbers("margin", self.margin)
        if not self.margin > 0:
            raise ConfigError(f"margin must be above 0 points, got {self.margin}; write for example margin=0.5")


def fix_rules(root: Path, rules: Rules) -> None:
    """Keep the rules in a run folder; ConfigError where others were fixed there before."""
    if write_first(root / FILE, json.dumps(asdict(rules))):
        return
    fixed = read_rules(root)
    if fixed is not None and fixed != rules:
        raise ConfigError(
            f"the verdict on {root} was fixed at alpha {fixed.alpha:g} and margin {fixed.margin:g} before its first cell, "
            f"got {rules.alpha:g} and {rules.margin:g}; write verdict.alpha={fixed.alpha:g} "
            f"verdict.margin={fixed.margin:g} or another out=FOLDER"
        )


def read_rules(root: Path) -> Rules | None:
    """Read the rules of a run folder; None where none were fixed. RecordError for a damaged file."""
    path = root / FILE
    try:
        return Rules(**json.loads(read_text(path)))
    except FileNotFoundError:
        return None
    except (RecordError, ConfigError, *WRONG) as error:
        raise RecordError(f"{path} cannot be read ({error}); restore it, or delete it to use the defaults") from error
