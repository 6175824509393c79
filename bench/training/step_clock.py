"""Wall time of training steps, also of those that a GPU is still at work on."""

from __future__ import annotations

import time
from typing import Any

import torch

Event = Any


class StepClock:
    """It times steps. On a GPU the times are of the device, between events in its queue, and are read at `settle` only.

    Args:
        device: ``cpu``, ``cuda`` or ``cuda:1``.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.times: list[float] = []
        self._open: list[tuple[Event, Event]] = []
        self._began: Event | float = 0.0

    def start(self) -> None:
        """Begin a step."""
        self._began = time.perf_counter() if self.device == "cpu" else self._mark()

    def stop(self) -> None:
        """End the step."""
        if self.device == "cpu":
            self.times.append(time.perf_counter() - self._began)
        else:
            self._open.append((self._began, self._mark()))

    def settle(self) -> list[float]:
        """Return the seconds of every step so far; this waits for a GPU."""
        if self._open:
            self._open[-1][1].synchronize()
            self.times += [began.elapsed_time(ended) / 1000 for began, ended in self._open]
            self._open = []
        return self.times

    def _mark(self) -> Event:
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self.device))
        return event
