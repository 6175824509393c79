"""What algorithms that change with the updates share: a count of them."""

from __future__ import annotations

from ...core.counted import Counted
from .base import Algorithm


class Counting(Counted, Algorithm):
    """An algorithm that knows how many updates have begun."""

    counter = "updates"

    def begin_step(self) -> None:
        """Count the update."""
        self.count(self.now + 1)
