"""What the agent asks of its own process."""

from __future__ import annotations

import subprocess
import sys

_FREED = """
import re
from pathlib import Path
from edge_agent.loop.process import give_memory_back
def rss():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
held = [bytes(60_000) for _ in range(1000)]  # on the heap: below malloc's mmap threshold
last = held[-1]
before = rss()
del held
give_memory_back()
print(before - rss())
"""


def test_freed_memory_goes_back_to_the_system():
    """Even below a block that is still held."""
    done = subprocess.run(
        [sys.executable, "-c", _FREED], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) > 40_000  # kB of 60,000
