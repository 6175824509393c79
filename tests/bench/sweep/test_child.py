"""The process that trains, apart from the training."""

import multiprocessing

from quantdg.bench.sweep.child import REPORT_EVERY, _Steps


def test_a_driver_that_is_gone_is_no_failure_of_the_cell():
    here, there = multiprocessing.Pipe()
    steps = _Steps(here)
    steps(REPORT_EVERY)
    assert there.recv() == ("steps", REPORT_EVERY)
    there.close()
    steps(REPORT_EVERY)
