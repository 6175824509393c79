"""Step times of a CPU at once, of a GPU when they are asked for."""

import pytest
import torch

from quantdg.bench.training.step_clock import StepClock


class Event:
    now = 0.0

    def __init__(self, enable_timing):
        self.waited = False

    def record(self, stream):
        Event.now += 5.0
        self.at = Event.now

    def elapsed_time(self, other):
        assert other.waited or other.at < Event.now
        return other.at - self.at

    def synchronize(self):
        self.waited = True


def test_a_cpu_is_timed_step_by_step():
    clock = StepClock("cpu")
    for _ in range(3):
        clock.start()
        clock.stop()
    assert len(clock.times) == 3
    assert all(seconds >= 0 for seconds in clock.settle())


def test_a_gpus_events_are_read_when_asked_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: None)
    clock = StepClock("cuda")
    for _ in range(3):
        clock.start()
        clock.stop()
    assert clock.times == []
    assert clock.settle() == pytest.approx([0.005] * 3)
    assert clock.settle() == pytest.approx([0.005] * 3)
