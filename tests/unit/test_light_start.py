"""A pure test starts quickly: pytest imports neither the application nor what it is made of."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
HEAVY = ("aiohttp", "asyncpg", "schemathesis", "geosvc.app", "geosvc.settings", "geosvc.database")
_RUN = """
import sys, pytest
status = pytest.main(["-q", "-p", "no:cacheprovider", "tests/unit/test_page_end.py"])
print("imported:", *sorted(set(sys.argv[1:]) & sys.modules.keys()))
sys.exit(status)
"""


def test_a_pure_test_imports_neither_the_application_nor_a_driver() -> None:
    command = [sys.executable, "-c", _RUN, *HEAVY]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.splitlines()[-1] == "imported:"
