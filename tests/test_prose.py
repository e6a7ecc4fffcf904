"""What prose names exists: paths, links, modules, attributes, tests, decisions.

Prose is every Markdown page but the change log, and every docstring and comment of Python.
A name that a refactoring left behind is found here; what looks like one and is none is listed.
"""

import ast
import importlib
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from geosvc import events
from tests.test_tidy import fail_if

ROOT = Path(__file__).parent.parent
COLUMNS = 100
FOLDERS = "benchmarks|deploy|docs|fixtures|geosvc|migrations|scripts|tests"
ENDS = "py|md|sql|yml|json|toml|conf|service|css|js|html|txt|lock|png|svg|csv|gz"
LINK = re.compile(r"\[[^\]\[]*\]\(([^)\s]+)\)")
BACKTICKED = re.compile(r"`([^`\n]+)`")
PATH = re.compile(rf"(?<![\w/.:~{{-])(?:{FOLDERS})/[\w./-]*\w")
FILE = re.compile(rf"(?:[\w-]+/)*[\w-]+\.(?:{ENDS})")
MODULE = re.compile(r"\w+(?:/\w+)+")
DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
IDENTIFIER = re.compile(r"_?[a-z][a-z0-9]*(?:_[a-z0-9]+)+|(?:[A-Z][a-z0-9]+){2,}")
TEST = re.compile(r"(?:(test_\w+\.py))?::(test_\w+)")
DECISION = re.compile(r"(?:[Dd]ecisions?[ /]|docs/decisions/)(\d{4})\b")

# Each exception: what, and why it is no name of this project.
NO_PATHS: dict[str, str] = {}
NO_FILES = {
    "occurrence.txt": "the table of a Darwin Core archive",
    "csv.gz": "how a name ends",
}
NO_NAMES = {
    "schema.bytes": "a member of SourceSchema",
    "geosvc.change": "a table",
    "geosvc.publication": "a table",
    "geosvc.idempotency_keys": "a table",
    "geosvc.request_id": "an attribute of a span",
    "geosvc.collection": "an attribute of a span",
    "geosvc.aborted": "an attribute of a span",
    "geosvc.statement": "an attribute of a span",
}
NO_IDENTIFIERS = {
    "roads_view": "a view of the reader's",
    "road_id": "a column of the reader's",
    "count_text": "a column of the reader's",
    "proxy_cache": "of nginx",
    "proxy_cache_valid": "of nginx",
    "proxy_cache_revalidate": "of nginx",
    "tcp_migrate_req": "of the kernel",
    "tcp_wmem": "of the kernel",
    "log_line_prefix": "of PostgreSQL",
    "malloc_trim": "of glibc",
    "ProcessPoolExecutor": "of Python, rejected by a decision",
}


@dataclass(frozen=True)
class Prose:
    """A piece of prose: a page, or the docstrings and comments of a module."""

    file: str
    line: int
    text: str

    def places(self, pattern: re.Pattern[str]) -> Iterator[tuple[str, re.Match[str]]]:
        """(where, match) of a pattern."""
        for match in pattern.finditer(self.text):
            yield f"{self.file}:{self.line + self.text.count(chr(10), 0, match.start())}", match


@cache
def tracked() -> tuple[str, ...]:
    """The files that git tracks, and new ones that it does not ignore."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return tuple(file for file in listed.stdout.split("\0") if file and (ROOT / file).is_file())


@cache
def read(file: str) -> str:
    """The text of a file."""
    return (ROOT / file).read_text("utf-8", "replace")


def docstrings(file: str) -> Iterator[Prose]:
    """The docstrings of a module, of attributes too."""
    for node in ast.walk(ast.parse(read(file))):
        if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Constant):
            continue
        if isinstance(node.value.value, str):
            yield Prose(file, node.lineno, node.value.value)


def comments(file: str) -> Iterator[Prose]:
    """The comments of a module."""
    for token in tokenize.generate_tokens(io.StringIO(read(file)).readline):
        if token.type == tokenize.COMMENT:
            yield Prose(file, token.start[0], token.string)


@cache
def pages() -> tuple[Prose, ...]:
    """The Markdown pages, but the change log, which tells of the past."""
    named = [file for file in tracked() if file.endswith(".md") and file != "CHANGELOG.md"]
    return tuple(Prose(file, 1, read(file)) for file in named)


@cache
def prose() -> tuple[Prose, ...]:
    """All of it."""
    modules = [
        file
        for file in tracked()
        if file.endswith(".py")
        and file != "tests/test_prose.py"
        and "migrations/versions" not in file
    ]
    return (*pages(), *(each for file in modules for each in (*docstrings(file), *comments(file))))


def exists(path: str, file: str) -> bool:
    """Whether a path is there: from the root, from geosvc, or from where it is named."""
    bases = (ROOT, ROOT / "geosvc", ROOT / "tests", ROOT / "docs", (ROOT / file).parent)
    return any((base / path).exists() for base in bases)


def without_code(text: str) -> Iterator[tuple[int, str]]:
    """(line number, line) of a page, but for blocks of code, tables and pictures."""
    is_code = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            is_code = not is_code
        elif not is_code and not line.startswith(("|", "![")):
            yield number, line


def test_prose_has_100_columns() -> None:
    problems = [
        f"{page.file}:{number} has {len(line)}"
        for page in pages()
        for number, line in without_code(page.text)
        if len(line) > COLUMNS
    ]
    fail_if(problems, f"lines of prose have at most {COLUMNS} columns")


def anchors(file: str) -> set[str]:
    """The anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", read(file), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each).strip().lower().replace(" ", "-") for each in headings}


def test_links_lead_somewhere() -> None:
    problems = []
    for page in pages():
        for place, match in page.places(LINK):
            target, _, anchor = match[1].partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            path = (ROOT / page.file).parent / target if target else ROOT / page.file
            if not path.exists():
                problems.append(f"{place} {match[1]}")
            elif anchor and anchor not in anchors(path.resolve().relative_to(ROOT).as_posix()):
                problems.append(f"{place} {match[1]}: no such heading")
    fail_if(problems, "a link leads nowhere")


def test_the_index_has_every_page() -> None:
    index = ROOT / "docs/README.md"
    linked = {(index.parent / each).resolve() for each in LINK.findall(index.read_text("utf-8"))}
    problems = [
        page.file
        for page in pages()
        if page.file.startswith("docs/") and (ROOT / page.file) not in {*linked, index}
    ]
    fail_if(problems, "docs/README.md does not link to")


def test_paths_exist() -> None:
    problems = [
        f"{place} {match[0]}"
        for each in prose()
        for place, match in each.places(PATH)
        if not exists(match[0], each.file) and match[0] not in NO_PATHS
        if not list(ROOT.glob(f"{match[0]}-*"))  # docs/decisions/0021
    ]
    fail_if(problems, "there is no such path")


def test_modules_in_backticks_exist() -> None:
    packages = {path.name for path in (ROOT / "geosvc").iterdir() if path.is_dir()}
    problems = []
    for each in prose():
        for place, match in each.places(BACKTICKED):
            name = match[1].rstrip("/")
            first, slash, _ = name.partition("/")
            if not slash or first not in packages or not MODULE.fullmatch(name):
                continue
            if not exists(name, each.file) and not exists(f"{name}.py", each.file):
                problems.append(f"{place} `{name}`")
    fail_if(problems, "there is no such module")


def test_files_in_backticks_exist() -> None:
    stems = {Path(file).name for file in tracked()}
    problems = []
    for each in prose():
        for place, match in each.places(BACKTICKED):
            name = match[1]
            if not FILE.fullmatch(name) or name in NO_FILES:
                continue
            if not exists(name, each.file) and name not in stems:
                problems.append(f"{place} `{name}`")
    fail_if(problems, "there is no such file")


def resolves(name: str) -> bool:
    """Whether a dotted name below geosvc or tests is a module, or an attribute of one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        path = ROOT / "/".join(parts[:length])
        if not (path.is_dir() or path.with_suffix(".py").is_file()):
            continue
        found: object = importlib.import_module(".".join(parts[:length]))
        for attribute in parts[length:]:
            members = ("__dataclass_fields__", "model_fields", "__annotations__")
            if any(attribute in getattr(found, each, {}) for each in members):
                return True
            if not hasattr(found, attribute):
                return False
            found = getattr(found, attribute)
        return True
    return False


def meanings(name: str, file: str) -> list[str]:
    """The full names that a dotted name may stand for, where it is about this project at all."""
    first = name.partition(".")[0]
    if first in ("geosvc", "tests", "benchmarks"):
        return [name]
    found = []
    if (ROOT / "geosvc" / first).is_dir() or (ROOT / "geosvc" / f"{first}.py").is_file():
        found.append(f"geosvc.{name}")
        if first == "settings":  # of the object that everybody has
            found.append(f"geosvc.settings.Settings.{name.partition('.')[2]}")
    folder = (ROOT / file).parent
    if file.endswith(".py") and (folder / f"{first}.py").is_file() and folder != ROOT / "tests":
        found.append(".".join((*folder.relative_to(ROOT).parts, name)))
    return found


def test_dotted_names_exist() -> None:
    problems = []
    for each in prose():
        for place, match in each.places(BACKTICKED):
            name = re.sub(r"\(.*\)$", "", match[1])
            if not DOTTED.fullmatch(name) or name in NO_NAMES or FILE.fullmatch(name):
                continue
            possible = meanings(name, each.file)
            if possible and not any(resolves(full) for full in possible):
                problems.append(f"{place} `{name}`")
    fail_if(problems, "there is no such module or attribute")


@cache
def words() -> frozenset[str]:
    """Every word of what is no prose: code, SQL, settings; and the names that events have."""
    files = [file for file in tracked() if not file.endswith((".md", ".gz", ".png", ".lock"))]
    found = {
        word
        for file in files
        if file != "tests/test_prose.py"
        for word in re.findall(r"[A-Za-z_]\w*", read(file))
    }
    kinds = [each for each in vars(events).values() if isinstance(each, type)]
    named = {kind.name() for kind in kinds if issubclass(kind, events.Event)}
    counters = {f"{word}_total" for word in found if word.startswith("geosvc_")}
    stems = {Path(file).stem for file in tracked()}
    return frozenset(found | named | counters | stems)


def test_identifiers_of_pages_are_words_of_the_code() -> None:
    problems = []
    for page in pages():
        for place, match in page.places(BACKTICKED):
            for name in re.findall(r"[A-Za-z_]\w*", match[1]):
                if (
                    IDENTIFIER.fullmatch(name)
                    and name not in NO_IDENTIFIERS
                    and name not in words()
                ):
                    problems.append(f"{place} `{name}`")
    fail_if(problems, "the code has no such name")


def test_tests_that_pages_name_exist() -> None:
    problems = []
    for page in pages():
        file = ""
        for place, match in page.places(TEST):
            file = match[1] or file
            found = [
                each
                for each in tracked()
                if each.startswith("tests/") and each.endswith(f"/{file}")
            ]
            if not any(f"def {match[2]}(" in read(each) for each in found):
                problems.append(f"{place} {file}::{match[2]}")
    fail_if(problems, "there is no such test")


def test_decisions_that_prose_names_exist() -> None:
    numbers = {path.name[:4] for path in (ROOT / "docs/decisions").glob("*.md")}
    problems = [
        f"{place} {match[0]}"
        for each in prose()
        for place, match in each.places(DECISION)
        if match[1] not in numbers
    ]
    fail_if(problems, "there is no such decision")
