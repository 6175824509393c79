"""Wall time of stored models: the harness on a clock made up here, and a measurement that dies."""

import io
import os
import shutil

from rich.console import Console

from quantdg.bench.deploy.interleaved import sample_interleaved, steady_calls
from quantdg.bench.results.store import RunStore
from quantdg.bench.sweep import session


class Bench:
    """Models that move a clock of their own, and a log of who was called."""

    def __init__(self, **seconds):
        self.now, self.log, self.seconds = 0.0, "", seconds

    def clock(self):
        return self.now

    def model(self, name):
        def call():
            self.log += name
            self.now += self.seconds[name]

        return call


def test_models_take_turns_after_a_warm_up_and_one_uncounted_call_each():
    bench = Bench(a=0.001, b=0.002)
    times = sample_interleaved([bench.model("a"), bench.model("b")], 2, 60.0, 2, clock=bench.clock)
    assert bench.log == "aaabbb" + "bbbaaa" + "aaabbb"
    assert [[round(t, 9) for t in own] for own in times] == [[1.0, 1.0], [2.0, 2.0]]


def test_after_its_seconds_the_fewest_rounds_are_enough():
    bench = Bench(a=0.001)
    assert len(sample_interleaved([bench.model("a")], 30, 0.0, clock=bench.clock)[0]) == 7


def test_quick_models_are_averaged_over_more_calls():
    assert [
        steady_calls([bench.model("a"), bench.model("b")], bench.clock)
        for bench in (Bench(a=0.0001, b=0.00025), Bench(a=0.001, b=0.0101), Bench(a=0.2, b=0.1))
    ] == [20, 4, 1]


def test_a_measurement_that_fails_is_told_and_the_run_goes_on_but_does_not_end_well(quick):
    experiment = quick("quantizer=[float]")
    assert session.run_experiment(experiment) == 0
    store = RunStore(experiment.paths.out)
    assert len(list(store.latencies())) == 2
    shutil.rmtree(store.root / "latency")
    for model in (store.root / "models").iterdir():
        right = model.read_bytes()
        model.write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
        os.utime(model, (1, 1))  # else the plan would see it and train the cell again
    console = Console(file=io.StringIO(), width=200)
    assert session.run_experiment(experiment, console) == 1
    text = console.file.getvalue()
    assert "latency: the measurement of 1 models ended with " in text
    assert "safetensors" in text
    assert text.count("latency:") == 1
    assert "cells: 1 done" in text
    assert not list(store.latencies())
