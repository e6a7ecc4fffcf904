"""How dense the code is, and how clear its names: measured over geosvc/, with limits.

The models are measured alike: httpx has 6.4 tokens a line, starlette 7.3, websockets 6.4,
procrastinate 6.0.
"""

import ast
import io
import statistics
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "geosvc").rglob("*.py"))
CODE = (tokenize.NAME, tokenize.OP, tokenize.NUMBER, tokenize.STRING)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

COLUMNS = 100
COLUMNS_OF_TESTS = 128  # their SQL is written as people write it
TOKENS_A_LINE = 7.05
CONDITIONAL_EXPRESSIONS = 12  # per 1,000 lines
PER_1000_COMPREHENSIONS = 12
MEDIAN_LINES = 150
IN_ONE_FUNCTION = 2  # conditional expressions


# Each name that stands for the same thing in several layers: the resource, its query, its SQL.
FILES_OF_SEVERAL_LAYERS = {
    "assets", "bulk", "changes", "collections", "crs", "extents", "features",
    "html", "items", "mutations", "search", "search_geometry", "slow", "spatial",
}  # fmt: skip


@cache
def text_of(path: Path) -> str:
    """The source of a module."""
    return path.read_text("utf-8")


def nodes(path: Path) -> Iterator[ast.AST]:
    """Every node of a module."""
    return ast.walk(ast.parse(text_of(path)))


def lines() -> int:
    """How many lines there are in all."""
    return sum(len(text_of(path).splitlines()) for path in FILES)


def per_thousand(kinds: type | tuple[type, ...]) -> float:
    """How many nodes of some kinds there are per 1,000 lines."""
    found = sum(isinstance(node, kinds) for path in FILES for node in nodes(path))
    return 1000 * found / lines()


def test_a_line_of_code_has_few_tokens() -> None:
    tokens, with_code = 0, 0
    for path in FILES:
        read = tokenize.generate_tokens(io.StringIO(text_of(path)).readline)
        used = [token for token in read if token.type in CODE]
        tokens += len(used)
        with_code += len({token.start[0] for token in used})
    assert tokens / with_code <= TOKENS_A_LINE


def test_conditional_expressions_are_few() -> None:
    assert per_thousand(ast.IfExp) <= CONDITIONAL_EXPRESSIONS


def test_comprehensions_are_few() -> None:
    assert per_thousand(COMPREHENSIONS) <= PER_1000_COMPREHENSIONS


def test_half_of_all_modules_are_short() -> None:
    assert statistics.median(len(text_of(path).splitlines()) for path in FILES) < MEDIAN_LINES


def test_lines_fit_100_columns() -> None:
    assert wide_lines(FILES, COLUMNS) == []


def test_lines_of_tests_fit_128_columns() -> None:
    assert wide_lines(sorted((ROOT / "tests").rglob("*.py")), COLUMNS_OF_TESTS) == []


def wide_lines(paths: list[Path], columns: int) -> list[str]:
    """Where lines are wider than so many columns."""
    found: list[str] = []
    for path in paths:
        for number, line in enumerate(text_of(path).splitlines(), 1):
            if len(line) > columns:
                found.append(f"{path.relative_to(ROOT)}:{number}")
    return found


def test_functions_have_few_conditional_expressions() -> None:
    dense: list[str] = []
    for path in FILES:
        for node in nodes(path):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            found = sum(isinstance(inner, ast.IfExp) for inner in ast.walk(node))
            if found > IN_ONE_FUNCTION:
                dense.append(f"{path.name}:{node.lineno} {node.name} has {found}")
    assert not dense, "\n".join(dense)


def test_a_file_name_means_one_thing() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in FILES:
        if path.stem != "__init__":
            places[path.stem].append(str(path.relative_to(ROOT)))
    several = {stem: where for stem, where in places.items() if len(where) > 1}
    assert several.keys() <= FILES_OF_SEVERAL_LAYERS, several
    assert all(len(where) == 2 for where in several.values()), several
    unused = FILES_OF_SEVERAL_LAYERS - several.keys()
    assert not unused, f"excused and not there any more: {sorted(unused)}"


def test_a_class_name_means_one_thing() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in FILES:
        for node in ast.parse(text_of(path)).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path.relative_to(ROOT)))
    several = {name: where for name, where in places.items() if len(where) > 1}
    assert not several


@pytest.mark.parametrize(
    ("source", "expected"),
    [("x = 1 if y else 2", 1), ("x = 1\nif y:\n    x = 2", 0), ("a if b else c if d else e", 2)],
)
def test_a_conditional_expression_would_be_found(source: str, expected: int) -> None:
    found = sum(isinstance(node, ast.IfExp) for node in ast.walk(ast.parse(source)))
    assert found == expected
