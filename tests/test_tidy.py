"""The rules that a linter does not know, checked over the tree; every exception is listed here with
its reason.
"""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

from geosvc import errors, events
from geosvc.errors import RequestError
from geosvc.events import Event, Measurement
from geosvc.routes import ADMIN_ROUTES, PAGE_ROUTES, ROUTES, Route
from geosvc.settings import PREFIX, Settings

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "geosvc"
FILES = sorted(path.relative_to(ROOT).as_posix() for path in SOURCE.rglob("*.py"))
SQL_FILES = sorted(path.relative_to(ROOT).as_posix() for path in SOURCE.rglob("*.sql"))

MODULE_LINES = 500
FUNCTION_LINES = 50
HANDLER_LINES = 40
POSITIONAL = 5
BANNED = frozenset(
    [
        "utils",
        "util",
        "helpers",
        "helper",
        "manager",
        "data",
        "info",
        "process",
        "misc",
        "common",
        "base",
    ]
)

KNOWS_AIOHTTP = re.compile(
    r"geosvc/((app|routes|worker_peers|worker_report)|(server|http|handlers)/\w+)\.py"
)

# Each exception: what, and why it may.
TEMPLATES_THAT_ARE_NOT_LITERAL: dict[tuple[str, str], str] = {}
TOO_MANY_ARGUMENTS: dict[tuple[str, str], str] = {}
TOO_LONG: dict[tuple[str, str], str] = {}
CATCHES_EXCEPTION = {
    (
        "geosvc/http/middleware.py",
        "_guarded",
    ): "the boundary: whatever it is, the client learns only the request id",
    (
        "geosvc/background.py",
        "_repeat_after_failures",
    ): "work that fails for an unknown reason is reported, and begins again",
    (
        "geosvc/events/emitting.py",
        "emit",
    ): "an observer that fails must not fail what is observed; it is counted and told once",
    (
        "geosvc/observe/slow.py",
        "SlowQueries._report_queued",
    ): "one line that cannot be written must not be the last",
    (
        "geosvc/handlers/bulk.py",
        "_read_and_store",
    ): "whatever ends the reading ends the storing, and is raised again",
    (
        "geosvc/database/pool.py",
        "Database.connection",
    ): "rolls back whatever it was, and raises it again",
    (
        "geosvc/offload/child.py",
        "carry_out",
    ): "goes back to the service with its stack, which raises it there",
}
MACHINE_PATHS = {
    (
        "geosvc/devdb/cluster.py",
        "/tmp",
    ): "where a Unix socket goes whose own folder has too long a path",
}


@cache
def tree(file: str) -> ast.Module:
    """A source file, parsed."""
    return ast.parse((ROOT / file).read_text("utf-8"), file)


Function = ast.FunctionDef | ast.AsyncFunctionDef


def named(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.ClassDef | Function, bool]]:
    """Every class and function below a node: (dotted name, node, whether it lies in a function)."""
    inside = isinstance(node, Function)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | Function):
            yield f"{prefix}{child.name}", child, inside
            yield from (
                (name, each, deep or inside)
                for name, each, deep in named(child, f"{prefix}{child.name}.")
            )
        else:
            yield from ((name, each, deep or inside) for name, each, deep in named(child, prefix))


def functions(file: str) -> Iterator[tuple[str, Function]]:
    """(dotted name, node) of every function and method."""
    for name, node, _ in named(tree(file)):
        if isinstance(node, Function):
            yield name, node


def imported(file: str) -> Iterator[tuple[str, int]]:
    """(top-level package, line) of every import."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            yield node.module.partition(".")[0], node.lineno


def docstrings(module: ast.Module) -> set[int]:
    """The ids of the nodes that are docstrings, of attributes too."""
    return {
        id(node.value)
        for node in ast.walk(module)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def fail_if(problems: list[str], rule: str) -> None:
    """Fails with every problem on a line of its own."""
    if problems:
        pytest.fail(f"{rule}:\n  " + "\n  ".join(problems), pytrace=False)


def test_asyncpg_is_imported_by_the_database_room_alone() -> None:
    fail_if(
        [
            f"{file}:{line} imports {package}"
            for file in FILES
            for package, line in imported(file)
            if package in ("asyncpg", "sqlalchemy", "alembic")
            and not file.startswith("geosvc/database/")
        ],
        "only geosvc/database/ knows the driver",
    )


def test_aiohttp_is_imported_where_http_is_spoken_alone() -> None:
    fail_if(
        [
            f"{file}:{line} imports aiohttp"
            for file in FILES
            for package, line in imported(file)
            if package == "aiohttp" and not KNOWS_AIOHTTP.fullmatch(file)
        ],
        "only app, routes, worker_peers, worker_report, server/, http/ and handlers/ know aiohttp",
    )


def test_the_environment_is_read_by_settings_alone() -> None:
    problems = []
    for file in FILES:
        if file == "geosvc/settings/environment.py":
            continue
        for node in ast.walk(tree(file)):
            if isinstance(node, ast.Attribute):
                found = {ast.unparse(node)} & {"os.environ", "os.environb", "os.getenv"}
            elif isinstance(node, ast.ImportFrom) and node.module == "os":
                found = {alias.name for alias in node.names} & {"environ", "environb", "getenv"}
            else:
                continue
            problems += [f"{file}:{node.lineno} {name}" for name in found]
    fail_if(problems, "os.environ is read in geosvc/settings/environment.py alone")


def is_literal(node: ast.expr) -> bool:
    """A literal text, or one of several."""
    if isinstance(node, ast.IfExp):
        return is_literal(node.body) and is_literal(node.orelse)
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def calls(file: str, name: str) -> Iterator[ast.Call]:
    """The calls of a function or class by its bare name."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == name:
            yield node


def test_sql_templates_are_literal() -> None:
    problems, excused = [], set()
    for file in FILES:
        for call in calls(file, "SQL"):
            if len(call.args) == 1 and not call.keywords and is_literal(call.args[0]):
                continue
            found = (file, ast.unparse(call))
            if found in TEMPLATES_THAT_ARE_NOT_LITERAL:
                excused.add(found)
            else:
                problems.append(f"{file}:{call.lineno} {ast.unparse(call)}")
    problems += [
        f"{file} {call} is excused and no longer there"
        for file, call in TEMPLATES_THAT_ARE_NOT_LITERAL.keys() - excused
    ]
    fail_if(problems, "SQL() takes a literal text: no f-string, no concatenation, no variable")


def test_the_types_of_params_are_literal() -> None:
    fail_if(
        [
            f"{file}:{call.lineno} {ast.unparse(call)}"
            for file in FILES
            for call in calls(file, "Param")
            if len(call.args) < 2 or not is_literal(call.args[1])
        ],
        "Param() takes its type as a literal text",
    )


SQL_WORD = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE|WHERE|FROM|ORDER BY)\b")


def test_handlers_hold_no_sql() -> None:
    problems = []
    for file in FILES:
        if not file.startswith("geosvc/handlers/"):
            continue
        documented = docstrings(tree(file))
        for node in ast.walk(tree(file)):
            if not isinstance(node, ast.Constant) or id(node) in documented:
                continue
            if isinstance(node.value, str) and SQL_WORD.search(node.value):
                problems.append(f"{file}:{node.lineno} {ast.unparse(node)}")
        problems += [
            f"{file}:{line} imports the SQL parts"
            for line in _imports_of(file, "geosvc.sql.compose")
        ]
    fail_if(problems, "handlers hold no SQL text")


def _imports_of(file: str, module: str) -> list[int]:
    return [
        node.lineno
        for node in ast.walk(tree(file))
        if isinstance(node, ast.ImportFrom) and node.module == module
    ]


def test_modules_and_functions_fit_a_screen() -> None:
    problems = []
    for file in FILES:
        lines = len((ROOT / file).read_text("utf-8").splitlines())
        if lines > MODULE_LINES and (file, "") not in TOO_LONG:
            problems.append(f"{file} has {lines} lines, {MODULE_LINES} at the most")
        most = HANDLER_LINES if file.startswith("geosvc/handlers/") else FUNCTION_LINES
        for name, node in functions(file):
            long = (node.end_lineno or node.lineno) - node.lineno + 1
            if long > most and (file, name) not in TOO_LONG:
                problems.append(f"{file}:{node.lineno} {name} has {long} lines, {most} at the most")
    fail_if(problems, "a module and a function can be seen whole")


def test_functions_take_five_positional_arguments_at_the_most() -> None:
    problems = []
    for file in FILES:
        for name, node in functions(file):
            arguments = [each.arg for each in (*node.args.posonlyargs, *node.args.args)]
            arguments = arguments[1:] if arguments[:1] in (["self"], ["cls"]) else arguments
            if len(arguments) > POSITIONAL and (file, name) not in TOO_MANY_ARGUMENTS:
                problems.append(
                    f"{file}:{node.lineno} {name} takes {len(arguments)}: {', '.join(arguments)}"
                )
    fail_if(problems, f"more than {POSITIONAL} arguments want a frozen dataclass")


def is_public(name: str) -> bool:
    """Whether no part of a dotted name is private; __init__ and its like document themselves by
    their class.
    """
    return not any(part.startswith("_") for part in name.split("."))


def test_every_public_name_has_a_docstring() -> None:
    problems = []
    for file in FILES:
        if not ast.get_docstring(tree(file)):
            problems.append(f"{file}:1 the module")
        for name, node, in_function in named(tree(file)):
            if is_public(name) and not in_function and not ast.get_docstring(node):
                problems.append(f"{file}:{node.lineno} {name}")
    fail_if(problems, "no docstring")


def module_names(file: str) -> Iterator[tuple[str, int]]:
    """(name, line) of the module and of everything that it defines at its top."""
    yield Path(file).stem if Path(file).stem != "__init__" else Path(file).parent.name, 1
    for node in tree(file).body:
        if isinstance(node, ast.ClassDef | Function):
            yield node.name, node.lineno
        targets = (
            node.targets
            if isinstance(node, ast.Assign)
            else [node.target]
            if isinstance(node, ast.AnnAssign)
            else []
        )
        for target in targets:
            yield from (
                (each.id, node.lineno) for each in ast.walk(target) if isinstance(each, ast.Name)
            )


def says_nothing(name: str) -> bool:
    """Whether a name is one of those that say nothing, or a class's last word is."""
    last_word = re.findall(r"[A-Z][a-z0-9]*", name)[-1:] if re.match(r"_?[A-Z][a-z]", name) else []
    return name.strip("_").lower() in BANNED or any(word.lower() in BANNED for word in last_word)


def test_no_name_says_nothing() -> None:
    fail_if(
        [
            f"{file}:{line} {name}"
            for file in FILES
            for name, line in module_names(file)
            if says_nothing(name)
        ],
        f"banned as names: {', '.join(sorted(BANNED))}",
    )


@pytest.mark.parametrize(
    "name", ["utils", "_helpers", "PoolManager", "DATA", "BaseHandler2Info", "Base"]
)
def test_a_banned_name_would_be_found(name: str) -> None:
    assert says_nothing(name)
    assert not says_nothing("catalog")
    assert not says_nothing("Database")


def test_exception_is_caught_at_the_boundary_alone() -> None:
    problems, excused = [], set()
    for file in FILES:
        owners = {id(child): name for name, node in functions(file) for child in ast.walk(node)}
        for node in ast.walk(tree(file)):
            if not isinstance(node, ast.ExceptHandler):
                continue
            caught = "everything" if node.type is None else ast.unparse(node.type)
            if not re.search(r"\b(everything|Exception|BaseException)\b", caught):
                continue
            owner = (file, owners.get(id(node), ""))
            if owner in CATCHES_EXCEPTION:
                excused.add(owner)
            else:
                problems.append(f"{file}:{node.lineno} except {caught}")
        problems += [
            f"{file}:{call.lineno} {ast.unparse(call)}"
            for call in calls(file, "suppress")
            if any(ast.unparse(each) in ("Exception", "BaseException") for each in call.args)
        ]
    problems += [
        f"{file} {name} is excused and catches no such thing"
        for file, name in CATCHES_EXCEPTION.keys() - excused
    ]
    fail_if(
        problems, "name what is caught; only the boundary in http/middleware.py catches Exception"
    )


def page(name: str) -> str:
    """A page of the documentation."""
    path = ROOT / "docs" / name
    if not path.is_file():
        pytest.fail(f"docs/{name} is not there", pytrace=False)
    return path.read_text("utf-8")


def undocumented(name: str, wanted: list[str]) -> list[str]:
    """Which of the wanted words a page does not hold as words of their own."""
    text = page(name)
    return [
        each
        for each in wanted
        if not re.search(rf"(?<![\w/}}-]){re.escape(each)}(?![\w/{{-])", text)
    ]


def test_every_setting_is_documented() -> None:
    wanted = [f"{PREFIX}{name.upper()}" for name in Settings.model_fields]
    fail_if(undocumented("configuration.md", wanted), "not in docs/configuration.md")


@pytest.mark.parametrize(
    "routes", [ROUTES, PAGE_ROUTES, ADMIN_ROUTES], ids=["public", "pages", "admin"]
)
def test_every_route_and_operation_is_documented(routes: tuple[Route, ...]) -> None:
    wanted = [
        word for route in routes for word in (f"{route.method} {route.path}", route.operation_id)
    ]
    fail_if(
        undocumented("http-api.md", wanted),
        "not in docs/http-api.md (as `GET /path` and as operation id)",
    )


def test_every_error_slug_is_documented() -> None:
    kinds = [
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, RequestError)
    ]
    fail_if(
        undocumented("http-api.md", sorted({kind.slug for kind in kinds})),
        "not in docs/http-api.md",
    )


def test_every_event_is_documented() -> None:
    kinds = [
        each for each in vars(events).values() if isinstance(each, type) and issubclass(each, Event)
    ]
    names = sorted(
        kind.name() for kind in kinds if not issubclass(kind, Measurement) and kind is not Event
    )
    fail_if(undocumented("operations.md", names), "not in docs/operations.md")


_IMPORT_EACH = """
import importlib, os, sys
outside, inside = sys.argv[1].split(","), sys.argv[2].split(",")
for name in outside:
    importlib.import_module(name)
import logging, threading
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
FORBIDDEN = (
    "socket.", "subprocess.", "os.system", "os.exec", "os.spawn", "os.posix_spawn", "os.fork", "os.putenv", "os.unsetenv",
    "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.chown", "os.truncate",
    "os.utime", "os.kill", "os.chdir", "shutil.", "tempfile.", "_thread.start_new_thread", "signal.", "urllib.", "fcntl.",
)

def watch(event, args):
    if event == "open" and isinstance(args[0], (str, bytes)):
        if args[2] & WRITES or any(letter in (args[1] or "") for letter in "wxa+"):
            found.append(f"opens {args[0]!r} to write")
    elif event.startswith(FORBIDDEN):
        found.append(f"{event} {args!r:.200}")

def state():
    root = logging.getLogger()
    return dict(os.environ), os.getcwd(), root.level, list(root.handlers), list(sys.path), threading.active_count()

for name in inside:
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        found, before = [], state()
        sys.addaudithook(watch)
        importlib.import_module(name)
        if state() != before:
            found.append("changes the process")
        print(*(f"{name} {each}" for each in found), sep="\\n", end="\\n" if found else "")
        sys.stdout.flush()
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        print(f"{name} cannot be imported alone")
"""


def module_name(file: str) -> str:
    """The dotted name of a file's module."""
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@pytest.mark.timeout(400)  # imports each of some 300 modules in a process of its own
def test_importing_a_module_starts_and_changes_nothing() -> None:
    """Each module in a process of its own, forked when everything from outside geosvc is imported
    already.
    """
    outside = {
        node.module if isinstance(node, ast.ImportFrom) else alias.name
        for file in FILES
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    from_outside = sorted(
        name for name in outside if name and not name.startswith(("geosvc", "compression"))
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}

    def import_each(names: Sequence[str]) -> list[str]:
        program = [sys.executable, "-B", "-c", _IMPORT_EACH]
        run = subprocess.run(
            [*program, ",".join(from_outside), ",".join(names)],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=environment,
            timeout=300,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        return run.stdout.splitlines()

    names = [module_name(file) for file in FILES]
    at_once = os.cpu_count() or 1
    with ThreadPoolExecutor(at_once) as pool:
        found = [*pool.map(import_each, [names[start::at_once] for start in range(at_once)])]
    fail_if([*chain.from_iterable(found)], "importing a module starts nothing and changes nothing")


@pytest.mark.parametrize("file", SQL_FILES)
def test_an_sql_file_has_a_header_and_declares_exactly_the_parameters_that_it_uses(
    file: str,
) -> None:
    lines = (ROOT / file).read_text("utf-8").splitlines()
    header = [line for line in lines if line.startswith("--")]
    assert lines[: len(header)] == header, (
        f"{file}: the header comes first, and there are no comments behind it"
    )
    assert re.fullmatch(r"-- name: [a-z]+(\.[a-z_]+)+", header[0]), (
        f"{file}:1 -- name: subject.verb"
    )
    assert re.fullmatch(r"-- description: \S.*", header[1]), (
        f"{file}:2 -- description: what it finds"
    )
    declared = []
    for line in header[2:]:
        match = re.fullmatch(r"-- \$(\d+): [a-z0-9_]+(\[\])?  \S.*", line)
        assert match, f"{file}: {line!r} is not '-- $n: type  what it is'"
        declared.append(int(match.group(1)))
    used = {int(number) for number in re.findall(r"\$(\d+)", "\n".join(lines[len(header) :]))}
    assert declared == sorted(used), f"{file} declares {declared} and uses {sorted(used)}"
    assert declared == list(range(1, len(declared) + 1)), (
        f"{file}: the parameters are $1 to ${len(declared)}"
    )


def tracked() -> list[str]:
    """The text files that git tracks, without this one, which names what it looks for."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    files = [file for file in listed.stdout.split("\0") if file and (ROOT / file).is_file()]
    return [file for file in files if file != "tests/test_tidy.py"]


def lines_with(pattern: str) -> Iterator[tuple[str, int, str]]:
    """(file, line number, match) of a pattern in what is tracked."""
    for file in tracked():
        try:
            text = (ROOT / file).read_text("utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            for match in re.finditer(pattern, line):
                yield file, number, match.group()


def test_no_tracked_file_names_a_folder_of_one_machine() -> None:
    fail_if(
        [
            f"{file}:{number} {found}"
            for file, number, found in lines_with(
                r"(?<![\w.\-}$])/(?:work|tmp|home|root|Users)(?=[/\"'\s`),:]|$)"
            )
            if (file, found) not in MACHINE_PATHS
        ],
        "a path that is only on the machine it was written on",
    )


def test_no_tracked_file_names_a_package_registry() -> None:
    registries = r"(?i)(pypi\.|pythonhosted|\bregistry\.|artifactory|\bnexus\b|\bmirrors?\.|index[-_]url|deb\.debian\.org)"
    allowed = re.compile(r"--no-emit-index-url")
    problems = []
    for file, number, found in lines_with(registries):
        line = (ROOT / file).read_text("utf-8").splitlines()[number - 1]
        if re.search(registries, allowed.sub("", line)):
            problems.append(f"{file}:{number} {found}")
    fail_if(problems, "a package registry is the business of the machine that installs")
