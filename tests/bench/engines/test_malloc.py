"""Freed memory is used again instead of going back to the system."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import torch
from quantdg.bench.engines.malloc import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        blocks = [torch.ones(2**22) for _ in range(4)]  # 16 MB each
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

torch.set_num_threads(1)
print(faults())
keep_freed_memory()
faults()
print(sorted(faults() for _ in range(15))[7])  # the median: the heap may still grow by a few blocks in the first of them
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_a_later_pass_over_large_blocks_faults_no_pages_in():
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert before > 1000
    assert after < before / 20
