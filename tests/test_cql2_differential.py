"""What our parser reads beside what the package cql2 reads, which others wrote in another
language.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings

from geosvc.cql2.text import parse_text
from geosvc.cql2.tree import Condition
from tests.cql2_noise import SEEDS
from tests.cql2_writing import CAPS, KeptGeometries, to_json, to_text
from tests.test_cql2_assertions import ASSERTIONS
from tests.test_filtering_oracle import conditions

KEPT = KeptGeometries()


class Peer:
    """The other parser."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.cql2_peer"]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def read(self, text: str) -> Any:
        """What it makes of CQL2 text; None where it makes nothing of it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(text) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def end(self) -> None:
        self._process.communicate(timeout=10)


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    pytest.importorskip("cql2", reason="the package cql2 is not installed")
    started = Peer()
    yield started
    started.end()


# what is read differently, or by us alone, and why
KNOWN = {
    "A_EQUALS(a, ())": "an empty array is one of the grammar's, and the other parser refuses it",
    "a < TIMESTAMP('2026-11-21T12:00:00.5Z')": "it is the same instant: we write microseconds, and the other what it read",
}


def flattened(node: Any) -> Any:
    """The same with AND within AND as one, as the other parser has it."""
    if isinstance(node, list):
        return [flattened(each) for each in node]
    if not isinstance(node, dict):
        return node
    made = {name: flattened(each) for name, each in node.items()}
    if made.get("op") in ("and", "or"):
        parts = [
            each["args"] if isinstance(each, dict) and each.get("op") == made["op"] else [each]
            for each in made["args"]
        ]
        made["args"] = [each for part in parts for each in part]
    return made


def ours(text: str) -> Any:
    return flattened(to_json(parse_text(text, CAPS, KEPT)))


def differences(peer: Peer, texts: Sequence[str]) -> list[tuple[str, Any, Any]]:
    return [
        (text, ours(text), read)
        for text in texts
        if ours(text) != (read := flattened(peer.read(text)))
    ]


def test_all_assertions_of_the_standard_are_read_alike(peer: Peer) -> None:
    if not ASSERTIONS:
        pytest.skip("the suite's data are not there: set GEOSVC_SHARED_DATA")
    assert not differences(peer, [text for _, text, _ in ASSERTIONS])
    assert not differences(peer, [seed for seed in SEEDS if "()" not in seed])


@given(conditions)
@settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_generated_filters_are_read_alike(peer: Peer, tree: Condition) -> None:
    text = to_text(tree)
    assume("()" not in text)
    assert not differences(peer, [text])


def test_the_known_differences_are_still_there(peer: Peer) -> None:
    assert [text for text, _, _ in differences(peer, list(KNOWN))] == list(KNOWN)
