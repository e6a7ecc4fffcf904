"""The *.sql files."""

import re
from importlib.resources import files

import pytest

from geosvc.sql.files import load_statement

FILES = sorted(
    each.name.removesuffix(".sql")
    for each in files("geosvc.sql").iterdir()
    if each.name.endswith(".sql")
)


def declared(file: str) -> int:
    """How many parameters a file declares."""
    text = files("geosvc.sql").joinpath(f"{file}.sql").read_text("utf-8")
    return len(re.findall(r"^-- \$\d+:", text, re.MULTILINE))


@pytest.mark.parametrize("file", FILES)
def test_a_file_is_a_statement_with_its_name_and_arguments(file: str) -> None:
    args = tuple(range(declared(file)))
    statement = load_statement(file, args)
    assert statement.args == args
    assert re.fullmatch(r"[a-z]+(\.[a-z_]+)+", statement.name)
    assert statement.text.startswith(("SELECT", "WITH", "INSERT", "UPDATE", "DELETE"))
    reads = statement.text.startswith(("SELECT", "WITH"))
    if not statement.name.startswith("publish."):  # of a command, which does both
        assert statement.name.startswith("write.") != reads or file in (
            "idempotency_answer",
            "feed_prune",
        )
    assert "-- " not in statement.text
    assert not statement.text.endswith(";")
    assert {int(number) for number in re.findall(r"\$(\d+)", statement.text)} == set(
        range(1, len(args) + 1)
    )


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("difference", [-1, 1])
def test_the_wrong_number_of_arguments_is_refused(file: str, difference: int) -> None:
    number = declared(file) + difference
    if number >= 0:
        with pytest.raises(
            ValueError, match=f"{file}.sql takes {declared(file)} arguments, not {number}"
        ):
            load_statement(file, tuple(range(number)))


def test_no_two_files_have_one_name() -> None:
    names = [load_statement(file, tuple(range(declared(file)))).name for file in FILES]
    assert len(set(names)) == len(names)


def test_a_file_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        load_statement("nothing")
