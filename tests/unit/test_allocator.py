"""The allocator: what large buffers have used is given back to the system."""

import subprocess
import sys

import pytest

# large buffers between small ones that stay
PROGRAM = """
import sys
from pathlib import Path
from geosvc.allocator import give_memory_back

def resident_megabytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20

if sys.argv[1] == "set":
    give_memory_back()
before = resident_megabytes()
bytearray(30 << 20)
kept, large = [], []
for _ in range(100):
    large.append(bytearray(b"x") * (1 << 20))
    kept.append(bytearray(b"x") * 5_000)
large.clear()
print(resident_megabytes() - before)
"""


def megabytes_left(how: str) -> int:
    """What a process that has used 100 MB for a moment still holds."""
    command = [sys.executable, "-c", PROGRAM, how]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="the allocator is that of glibc")
def test_large_buffers_are_given_back_which_the_allocator_would_keep_by_itself() -> None:
    assert megabytes_left("as it is") > 90
    assert megabytes_left("set") < 10
