"""Values of PostgreSQL types in a request."""

from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosvc.errors import InvalidParameter
from geosvc.model.collection import TypedName
from geosvc.values.parsing import check_value
from tests.unit.samples import column

GOOD = {
    "int2": ["0", "-32768", "32767", "+5", "007"],
    "int4": ["-2147483648", "2147483647"],
    "int8": ["-9223372036854775808", "9223372036854775807"],
    "oid": ["0", "4294967295"],
    "float4": ["1.5", "-1e10", "NaN", "Infinity", "-inf"],
    "float8": ["1e300", "1e-300", ".5", "5.", "nan"],
    "numeric": ["1", "-0.000000000000000000000001", "NaN"],
    "bool": ["true", "FALSE", "t", "f", "yes", "no", "on", "off", "1", "0"],
    "uuid": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "A0EEBC999C0B4EF8BB6D6BB9BD380A11"],
    "date": ["2026-11-21", "infinity", "-infinity"],
    "timestamp": ["2026-11-21T12:00:00", "2026-11-21 12:00:00.5"],
    "timestamptz": ["2026-11-21T12:00:00+02:00", "2026-11-21", "infinity"],
    "inet": ["127.0.0.1", "10.0.0.0/8", "::1", "192.168.1.7/24"],
    "cidr": ["10.0.0.0/8"],
    "text": ["", "anything ' \" \\ ; --", "\u202e"],
}
BAD = {
    "int2": ["", " ", "x", "1.0", "32768", "-32769", "1e3", "١", "1_0", "0x1", "--1", "9" * 10_000],
    "int4": ["2147483648", "-2147483649"],
    "int8": ["9223372036854775808", "-9223372036854775809"],
    "oid": ["-1", "4294967296", "x"],
    "float4": ["", "x", "1,5", "1e99999999"],
    "float8": ["one", "1e-99999999", "0x"],
    "numeric": ["1 2", "1e99999999"],
    "bool": ["", "2", "wahr", "nope"],
    "uuid": [
        "",
        "x",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1",
        "g0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    ],
    "date": ["", "today'", "2026-13-01", "21.11.2026"],
    "timestamp": ["noon", "2026-11-21T25:00:00"],
    "timestamptz": ["2026-11-21T12:00:00+99:00"],
    "inet": ["", "localhost", "1.2.3", "1.2.3.4/33"],
    "cidr": ["x"],
}


def pairs(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(type_name, text) for type_name, texts in table.items() for text in texts]


@pytest.mark.parametrize(("type_name", "text"), pairs(GOOD))
def test_a_value_that_postgresql_takes_is_taken(type_name: str, text: str) -> None:
    check_value(column("c", type_name), text, "c")


@pytest.mark.parametrize(("type_name", "text"), pairs(BAD))
def test_a_value_that_postgresql_refuses_is_refused_by_name_and_without_being_repeated(
    type_name: str, text: str
) -> None:
    with pytest.raises(InvalidParameter, match=r"^wanted takes ") as caught:
        check_value(column("c", type_name), text, "wanted")
    assert caught.value.parameter == "wanted"
    assert len(text) < 4 or text not in caught.value.detail


@pytest.mark.parametrize("text", ["", "GREEN", "green ", "blue,green"])
def test_an_enum_takes_its_labels_only(text: str) -> None:
    typed = column("colour", "colour", enum=("green", "blue"))
    check_value(typed, "green", "colour")
    with pytest.raises(InvalidParameter, match="colour takes one of: green, blue"):
        check_value(typed, text, "colour")


def test_a_type_of_the_users_own_is_left_to_postgresql() -> None:
    check_value(TypedName("c", "mine.int4", "mine", "int4", "U"), "no number", "c")


@pytest.mark.parametrize(("type_name", "bits"), [("int2", 16), ("int4", 32), ("int8", 64)])
def test_the_range_of_whole_numbers_is_exact(type_name: str, bits: int) -> None:
    lowest, highest = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    for inside in (lowest, highest):
        check_value(column("c", type_name), str(inside), "c")
    for outside in (lowest - 1, highest + 1):
        with pytest.raises(InvalidParameter, match=f"{bits} bits"):
            check_value(column("c", type_name), str(outside), "c")


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30))
def test_every_number_is_a_number(number: Decimal) -> None:
    if number.is_zero() or abs(number.adjusted()) < 40:
        check_value(column("c", "numeric"), f"{number:f}", "c")


@given(st.uuids())
def test_every_uuid_is_a_uuid(value: UUID) -> None:
    check_value(column("c", "uuid"), str(value), "c")


@given(st.ip_addresses())
def test_every_address_is_an_address(value: IPv4Address | IPv6Address) -> None:
    check_value(column("c", "inet"), str(value), "c")


@given(st.sampled_from(sorted(BAD)), st.text(max_size=30))
def test_no_text_does_anything_but_pass_or_be_refused(type_name: str, text: str) -> None:
    try:
        check_value(column("c", type_name), text, "c")
    except InvalidParameter as error:
        assert error.parameter == "c"
        assert error.detail.startswith("c takes ")
