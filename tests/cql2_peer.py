"""The package cql2 as a process of its own, as deep nesting crashes it: a line is CQL2 text in
JSON, its answer CQL2 JSON.
"""

import json
import sys
from typing import Any

import cql2

for line in sys.stdin:
    answer: Any = None
    try:
        answer = cql2.parse_text(json.loads(line)).to_json()
    except Exception as error:
        print(repr(error), file=sys.stderr)
    print(json.dumps(answer), flush=True)
