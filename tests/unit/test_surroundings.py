"""benchmarks/surroundings.py: the machine and the versions."""

from benchmarks.surroundings import parse_processor, parse_versions


def test_the_processor_has_a_name() -> None:
    assert (
        parse_processor("processor\t: 0\nmodel name\t: A Processor @ 2 GHz\n")
        == "A Processor @ 2 GHz"
    )
    assert parse_processor("") == "unknown"


def test_versions_come_in_lines_without_what_debian_adds() -> None:
    assert parse_versions("tipg 1.6.1\nlighttpd 1.4.69-1\ncgi-mapserver 8.0.0-3+deb12u2\n") == {
        "tipg": "1.6.1",
        "lighttpd": "1.4.69",
        "cgi-mapserver": "8.0.0",
    }
