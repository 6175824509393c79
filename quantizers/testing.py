"""The contract as a pytest class: subclass it, give it a quantizer, get one test for each check.

class TestTernary(QuantizerContract):
    @pytest.fixture
    def make_quantizer(self):
        return Ternary
"""

from __future__ import annotations

import pytest

from ..core.threads import one_thread
from .contract.checks import CHECKS, Check
from .contract.trial import MakeQuantizer


class QuantizerContract:
    """The class runs every check of `quantdg.quantizers.contract.checks`; a subclass gives it ``make_quantizer``."""

    @pytest.fixture
    def make_quantizer(self) -> MakeQuantizer:
        """Return a class or function that takes a QuantSpec and returns the quantizer."""
        raise NotImplementedError("write a fixture make_quantizer that returns your quantizer class")

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
    def test_contract(self, check: Check, make_quantizer: MakeQuantizer) -> None:
        """Fail with what to change, or skip with the reason."""
        with one_thread():
            skip = check(make_quantizer)
        if skip is not None:
            pytest.skip(skip.reason)
