"""Bodies that are cut into features as they arrive: the same features as a decoder of the whole
finds, or an error.
"""

import json
import random
import tracemalloc
from collections.abc import Iterable, Iterator

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from geosvc.bodies.splitting import (
    BodySplitter,
    FeatureCollectionSplitter,
    MalformedBody,
    Piece,
    SequenceSplitter,
    SplitLimits,
    TooLarge,
    is_feature_collection,
)

Splitter = type[FeatureCollectionSplitter] | type[SequenceSplitter]

STRINGS = st.text(
    st.sampled_from('"\\{}[],: \n\x1e\té漢😀abuYy_\x7f'), max_size=12
) | st.sampled_from(["features", '"features":[', "},{", "\\" * 7])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | STRINGS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(STRINGS, inner, max_size=4),
    max_leaves=12,
)
FEATURES = st.lists(st.dictionaries(STRINGS, VALUES, max_size=4), max_size=8)
MEMBERS = st.dictionaries(STRINGS.filter(lambda name: name != "features"), VALUES, max_size=3)
LIMITS = st.integers(1, 300).map(lambda size: SplitLimits(piece_bytes=size))
RANDOM = st.integers(0, 2**32).map(random.Random)

FEATURE = {
    "type": "Feature",
    "id": 7,
    "geometry": {
        "type": "Polygon",
        "coordinates": [[[8.5, 47.3], [8.6, 47.3], [8.6, 47.4], [8.5, 47.3]]],
    },
    "properties": {"name": 'Straße "7" [a]', "note": "}{,\\", "tags": [{"k": "v"}, {}]},
}


def written(value: object, random: random.Random, blanks: str) -> str:
    """A JSON text with white space wherever it may be, and strings escaped one way or another."""

    def blank() -> str:
        return "".join(random.choices(blanks, k=random.choice([0, 0, 0, 1, 3]))) if blanks else ""

    if isinstance(value, dict):
        inside = ",".join(
            blank() + written(k, random, "") + blank() + ":" + written(v, random, blanks)
            for k, v in value.items()
        )
        return blank() + "{" + inside + blank() + "}" + blank()
    if isinstance(value, list):
        return (
            blank()
            + "["
            + ",".join(written(each, random, blanks) for each in value)
            + blank()
            + "]"
            + blank()
        )
    if isinstance(value, str) and value != "features" and random.random() < 0.2:
        units = value.encode("utf-16-be")
        return (
            '"'
            + "".join(f"\\u{units[at] << 8 | units[at + 1]:04x}" for at in range(0, len(units), 2))
            + '"'
        )
    return blank() + json.dumps(value, ensure_ascii=random.random() < 0.5) + blank()


def cut(body: bytes, random: random.Random) -> Iterator[bytes]:
    """A body in pieces of any length."""
    most = random.choice([1, 5, 64, 1000])
    while body:
        size = random.randint(0, most)
        yield body[:size]
        body = body[size:]


def split(splitter: BodySplitter, pieces: Iterable[bytes]) -> list[Piece]:
    """All pieces of a body."""
    return [piece for data in pieces for piece in splitter.feed(data)] + splitter.finish()


def nesting(value: object) -> int:
    """How deep brackets are nested."""
    inner = (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    )
    return 0 if inner is None else 1 + max(map(nesting, inner), default=0)


def decoded(pieces: list[Piece]) -> list[object]:
    """The features of the pieces, which tell the truth about themselves.

    Raises: orjson.JSONDecodeError.
    """
    features: list[object] = []
    for piece in pieces:
        elements = orjson.loads(b"[" + piece.text + b"]")
        assert (piece.first, piece.count) == (len(features), len(elements))
        assert piece.count > 0
        assert piece.depth == max(map(nesting, elements))
        features += elements
    return features


def collection_text(
    members: dict[str, object], features: object, random: random.Random, blanks: str = " \t\n\r"
) -> bytes:
    """A body whose features stand anywhere among its other members."""
    items = list(members.items())
    items.insert(random.randint(0, len(items)), ("features", features))
    return written(dict(items), random, blanks).encode()


@settings(max_examples=200, deadline=None)
@given(MEMBERS, FEATURES, LIMITS, RANDOM, st.sampled_from(["", " ", " \t\n\r"]), st.booleans())
def test_a_collection_cut_anywhere_gives_exactly_its_features_and_members(
    members: dict[str, object],
    features: list[object],
    limits: SplitLimits,
    random: random.Random,
    blanks: str,
    bom: bool,
) -> None:
    body = b"\xef\xbb\xbf" * bom + collection_text(members, features, random, blanks)
    splitter = FeatureCollectionSplitter(limits)
    assert decoded(split(splitter, cut(body, random))) == features
    assert splitter.members == members


@settings(max_examples=150, deadline=None)
@given(FEATURES, LIMITS, RANDOM, st.booleans())
def test_a_text_sequence_cut_anywhere_gives_exactly_its_features(
    features: list[object], limits: SplitLimits, random: random.Random, last_line_feed: bool
) -> None:
    texts = [
        "\x1e" * random.choice([1, 1, 1, 2]) + written(each, random, " \t\n\r") for each in features
    ]
    body = "\n".join(texts).encode() + b"\n" * last_line_feed
    assert decoded(split(SequenceSplitter(limits), cut(body, random))) == features


@settings(max_examples=150, deadline=None)
@given(FEATURES, LIMITS, RANDOM, st.sampled_from(["", "\n", "\r\n", "\r\n \n"]))
def test_lines_cut_anywhere_give_exactly_their_features(
    features: list[object], limits: SplitLimits, random: random.Random, last: str
) -> None:
    ends = ["\n", "\n", "\n", "\r\n", "\n\n", " \n\t\r\n"]
    body = (
        "".join(
            random.choice(ends) * (at > 0) + written(each, random, " \t")
            for at, each in enumerate(features)
        )
        + last
    )
    assert decoded(split(SequenceSplitter(limits), cut(body.encode(), random))) == features


def is_collection(body: bytes) -> bool:
    """What a decoder of the whole says."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    features = value.get("features") if isinstance(value, dict) else None
    return isinstance(features, list) and all(isinstance(each, dict) for each in features)


MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(["put", "drop", "set"]),
        st.floats(0, 1),
        st.sampled_from(b'{}[],:"\\ 1\x1e\n\xff'),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=400, deadline=None)
@given(MEMBERS, FEATURES, LIMITS, RANDOM, MUTATIONS)
def test_a_damaged_collection_is_refused_here_or_by_the_decoder_and_is_never_misread(
    members: dict[str, object],
    features: list[object],
    limits: SplitLimits,
    random: random.Random,
    mutations: list[tuple[str, float, int]],
) -> None:
    body = bytearray(collection_text(members, features, random, " "))
    for kind, where, byte in mutations:
        at = int(where * (len(body) - 1))
        body[at : at + (kind != "put")] = b"" if kind == "drop" else bytes([byte])
    try:
        found = decoded(split(FeatureCollectionSplitter(limits), cut(bytes(body), random)))
    except (MalformedBody, orjson.JSONDecodeError):
        assert not is_collection(bytes(body))
    else:
        assert is_collection(bytes(body))
        assert found == orjson.loads(body)["features"]


SMALL = (
    b' {"crs": {"features": [1]}, "name": "features", "features" : [%b, {"a":"\\""} , {}], "bbox": [1, 2]}'
    % orjson.dumps(FEATURE)
)


@pytest.mark.parametrize("piece_bytes", [1, 50, 1 << 20])
def test_a_collection_that_ends_anywhere_too_early_is_refused(piece_bytes: int) -> None:
    limits = SplitLimits(piece_bytes=piece_bytes)
    assert len(decoded(split(FeatureCollectionSplitter(limits), [SMALL]))) == 3
    for size in range(len(SMALL)):
        with pytest.raises(MalformedBody, match=r"^the body (is empty|ends .*)$"):
            split(FeatureCollectionSplitter(limits), [SMALL[:size]])


@pytest.mark.parametrize("piece_bytes", [1, 50, 1 << 20])
def test_a_sequence_that_ends_within_a_feature_is_refused(piece_bytes: int) -> None:
    limits = SplitLimits(piece_bytes=piece_bytes)
    first, second = json.dumps(FEATURE).encode(), json.dumps(FEATURE, indent=1).encode()
    lines, records = first + b"\n" + first, b"\x1e" + first + b"\n\x1e" + second + b"\n"
    for size in range(1, len(lines)):
        if size not in (len(first), len(first) + 1):
            with pytest.raises(
                MalformedBody, match=f"ends within feature {int(size > len(first))}$"
            ):
                split(SequenceSplitter(limits), [lines[:size]])
    for size in range(1, len(records) - 1):
        if size not in (len(first) + 1, len(first) + 2):
            with pytest.raises(
                MalformedBody, match=f"ends within feature {int(size > len(first) + 1)}$"
            ):
                split(SequenceSplitter(limits), [records[:size]])
    assert len(decoded(split(SequenceSplitter(limits), [records[:-1]]))) == 2


REFUSED = [
    (b"", "is empty", None),
    (b" \n", "is empty", None),
    (b"[]", "not a JSON object", None),
    (b"17", "not a JSON object", None),
    (b"\xef\xbb\xbf\xef\xbb\xbf{}", "not a JSON object", None),
    ('{"features":[]}'.encode("utf-16"), "not a JSON object", None),
    (b"{}", "no member named features", None),
    (
        b'{"a":{"features":[]},"b":"features","features\\u0020":[]}',
        "no member named features",
        None,
    ),
    (b'{"feature":[]}  ', "no member named features", None),
    (b'{"features":{}}', "is not an array", None),
    (b'{"features":null}', "is not an array", None),
    (b'{"features":"[{}]"}', "is not an array", None),
    (b'{"features":[,{}]}', "feature 0 is empty", 0),
    (b'{"features":[ , ]}', "feature 0 is empty", 0),
    (b'{"features":[{},]}', "feature 1 is empty", 1),
    (b'{"features":[{},{} , , {}]}', "feature 2 is empty", 2),
    (b'{"features":[{},{},,{}]}', "feature 2 is empty", 2),
    (b'{"features":[{}{}]}', "the comma before feature 1 is missing", 1),
    (b'{"features":[{},{} {}]}', "the comma before feature 2 is missing", 2),
    (b'{"features":[1]}', "feature 0 is not a JSON object", 0),
    (b'{"features":[{},[],{}]}', "feature 1 is not a JSON object", 1),
    (b'{"features":[{},{}, "},{" ,{}]}', "feature 2 is not a JSON object", 2),
    (b'{"features":[{},null]}', "feature 1 is not a JSON object", 1),
    (b'{"features":[{}},"a":1}', "does not end with a square bracket", None),
    (b'{"features":[{}]} x', "after the end", None),
    (b'{"features":[{}]}{"features":[]}', "after the end", None),
    (b'{"features":[{}]}}', "after the end", None),
    (b'{"features":[{}],"features":[{}]}', "several members named features", None),
    (b'{"features":[{}],"a":}', "are not JSON", None),
    (b'{"features":[{}],}', "are not JSON", None),
    (b'{"a":tru,"features":[{}]}', "are not JSON", None),
    (b'{,"features":[{}]}', "are not JSON", None),
]


@pytest.mark.parametrize(("body", "detail", "index"), REFUSED)
@pytest.mark.parametrize("piece_bytes", [1, 13, 1 << 20])
def test_a_malformed_collection_is_refused_alike_however_it_is_cut(
    body: bytes, detail: str, index: int | None, piece_bytes: int
) -> None:
    with pytest.raises(MalformedBody, match=detail) as raised:
        split(
            FeatureCollectionSplitter(SplitLimits(piece_bytes=piece_bytes)),
            [body[at : at + 1] for at in range(len(body))],
        )
    assert raised.value.index == index
    assert raised.value.detail == str(raised.value)


@pytest.mark.parametrize(
    ("body", "detail", "index"),
    [
        (b'{"a":1}{"b":2}\n', "the line break before feature 1 is missing", 1),
        (b'{"a":1}\n{"a":1} {"b":2}\n', "the line break before feature 2 is missing", 2),
        (b'{}\n{"a":\n1}\n{}\n', "feature 1 is cut off, or has a line break in it", 1),
        (b'{}\n{"a":"b\n{}\n', "feature 1 is cut off, or has a line break in it", 1),
        (b"{}\n17\n", "feature 1 is not a JSON object", 1),
        (b"{}\n[]\n", "feature 1 is not a JSON object", 1),
        (b"{},\n{}\n", "feature 1 is not a JSON object", 1),
        (b"{}}\n{}\n", "feature 1 is not a JSON object", 1),
        (b"\x1e{}\n{}\n", "the record separator before feature 1 is missing", 1),
        (b'\x1e{}\n\x1e{"a":"cut off\n\x1e{}\n', "feature 1 is cut off", 1),
        (b'\x1e{}\n\x1e{"a":[\x1e{}\n', "feature 1 is cut off", 1),
        (b"\x1e{}\n\x1e17\n", "feature 1 is not a JSON object", 1),
        (b"\x1e{}\n\x1e\n", "ends within feature 1", 1),
    ],
)
@pytest.mark.parametrize("piece_bytes", [1, 1 << 20])
def test_a_malformed_sequence_is_refused_alike_however_it_is_cut(
    body: bytes, detail: str, index: int, piece_bytes: int
) -> None:
    with pytest.raises(MalformedBody, match=detail) as raised:
        split(
            SequenceSplitter(SplitLimits(piece_bytes=piece_bytes)),
            [body[at : at + 1] for at in range(len(body))],
        )
    assert raised.value.index == index


@pytest.mark.parametrize("body", [b"", b" \n", b"\xef\xbb\xbf\n"])
def test_an_empty_sequence_has_no_features(body: bytes) -> None:
    assert split(SequenceSplitter(), [body]) == []


def opening(splitter: Splitter) -> bytes:
    """What precedes the first feature."""
    return b'{"features":[' if splitter is FeatureCollectionSplitter else b"\x1e"


@pytest.mark.parametrize("splitter", [FeatureCollectionSplitter, SequenceSplitter])
@pytest.mark.parametrize("bad", [b"17", b"{}{}", b"{" * 100, b"[" * 30_000])
def test_an_error_is_raised_before_the_body_ends(splitter: Splitter, bad: bytes) -> None:
    running = splitter(SplitLimits(piece_bytes=1 << 16))
    running.feed(opening(splitter))
    with pytest.raises(MalformedBody):
        running.feed(bad + b" " * (1 << 16))


@pytest.mark.parametrize("splitter", [FeatureCollectionSplitter, SequenceSplitter])
@pytest.mark.parametrize("piece_bytes", [1, 100, 1 << 20])
def test_a_feature_may_be_as_deep_as_allowed_and_no_deeper(
    splitter: Splitter, piece_bytes: int
) -> None:
    end = b"]}" if splitter is FeatureCollectionSplitter else b"\n"
    between = b"," if splitter is FeatureCollectionSplitter else b"\n\x1e"
    deep, deeper = (b'{"a":' * size + b"1" + b"}" * size for size in (64, 65))
    limits = SplitLimits(piece_bytes=piece_bytes)
    pieces = split(splitter(limits), [opening(splitter) + deep + between + deep + end])
    assert max(piece.depth for piece in pieces) == 64
    with pytest.raises(MalformedBody, match="feature 1 is nested deeper than 64") as raised:
        split(splitter(limits), [opening(splitter) + deep + between + deeper + end])
    assert raised.value.index == 1


@pytest.mark.parametrize(
    "where", [b'{"a":%b,"features":[]}', b'{"features":[],"a":%b}', b'{"features":[{"a":%b}]}']
)
def test_what_is_nested_thousands_deep_is_refused_before_anybody_decodes_it(where: bytes) -> None:
    nested = b'{"type":"GeometryCollection","geometries":[' * 15_000 + b"]}" * 15_000
    with pytest.raises(MalformedBody, match="nested deeper"):
        split(FeatureCollectionSplitter(), [where % nested])


@pytest.mark.parametrize("splitter", [FeatureCollectionSplitter, SequenceSplitter])
@pytest.mark.parametrize("piece_bytes", [1, 40, 1 << 20])
def test_a_feature_may_be_as_long_as_allowed_and_no_longer(
    splitter: Splitter, piece_bytes: int
) -> None:
    end = b"]}" if splitter is FeatureCollectionSplitter else b"\n"
    between = b"," if splitter is FeatureCollectionSplitter else b"\n\x1e"
    limits = SplitLimits(max_feature_bytes=100, piece_bytes=piece_bytes)
    long, longer = (b'{"a":"' + b"x" * (size - 8) + b'"}' for size in (100, 101))
    assert (
        sum(
            piece.count
            for piece in split(splitter(limits), [opening(splitter) + long + between + long + end])
        )
        == 2
    )
    for rest in (b"", end, between + b"{}" + end):
        with pytest.raises(TooLarge, match="feature 1 is longer than 100 bytes") as raised:
            split(splitter(limits), [opening(splitter) + long + between + longer + rest])
        assert raised.value.index == 1


def test_a_feature_that_never_ends_is_refused_when_it_is_too_long() -> None:
    splitter = FeatureCollectionSplitter(
        SplitLimits(max_feature_bytes=1 << 20, piece_bytes=1 << 16)
    )
    assert [
        piece.count for piece in splitter.feed(b'{"features":[{},{"a":"' + b"x" * (1 << 19))
    ] == [1]
    with pytest.raises(TooLarge, match="feature 1 "):
        splitter.feed(b"x" * (1 << 19))


@pytest.mark.parametrize(
    "body", [b'{"a":"%b","features":[]}', b'{"features":[],"a":"%b"}', b'{"a":"%b']
)
def test_members_beside_the_features_may_not_be_long(body: bytes) -> None:
    limits = SplitLimits(piece_bytes=1 << 10, members_bytes=1 << 12)
    split(FeatureCollectionSplitter(limits), [b'{"a":"%b","features":[]}' % (b"x" * 4_000)])
    with pytest.raises(TooLarge, match="longer than 4096 bytes"):
        split(FeatureCollectionSplitter(limits), [body % (b"x" * 4_100)])


@pytest.mark.parametrize(
    "text",
    [
        b'"' + b"\\\\" * 500_000 + b'"',
        b'"' + b'\\"},{' * 200_000 + b'"',
        b"[" + b"{}," * 300_000 + b"{}]",
        b" " * 3_000_000 + b"1",
        b'"' + b"},{" * 300_000 + b'"',
        b"9" * 20_000,
    ],
    ids=[
        "backslashes",
        "escaped quotes",
        "array of objects",
        "white space",
        "brackets in a string",
        "a long number",
    ],
)
@pytest.mark.parametrize("size", [1 << 10, (1 << 16) - 1, 1 << 23])
def test_long_runs_of_what_looks_like_structure_do_not_mislead(text: bytes, size: int) -> None:
    body = b'{"type":"FeatureCollection","features":[{"a":' + text + b'},{"b":' + text + b"}]}"
    pieces = split(
        FeatureCollectionSplitter(), [body[at : at + size] for at in range(0, len(body), size)]
    )
    assert b",".join(piece.text for piece in pieces) == body[40:-2]
    assert [(piece.first, piece.count) for piece in pieces] in ([(0, 2)], [(0, 1), (1, 1)])


def test_a_body_that_arrives_at_once_is_cut_no_larger() -> None:
    body = b'{"features":[' + b",".join([b'{"a":"%b"}' % (b"x" * 90)] * 1_000) + b"]}"
    pieces = split(FeatureCollectionSplitter(SplitLimits(piece_bytes=1_000)), [body])
    assert sum(piece.count for piece in pieces) == 1_000
    assert max(len(piece.text) for piece in pieces) <= 2_200


def test_white_space_between_features_costs_no_memory_and_is_not_part_of_them() -> None:
    limits = SplitLimits(max_feature_bytes=1_000, piece_bytes=1 << 16)
    blank = [b" \n" * (1 << 15)] * 50
    parts = [
        *blank,
        b'{"features":[',
        *blank,
        b"{}",
        *blank,
        b",",
        *blank,
        b"{}",
        *blank,
        b"]}",
        *blank,
    ]
    splitter = FeatureCollectionSplitter(limits)
    assert [piece.text for piece in split(splitter, parts)] == [b"{}", b"{}"]


def test_a_large_body_takes_little_memory() -> None:
    feature = orjson.dumps({**FEATURE, "properties": {"name": "x" * 400}})
    block, blocks = (feature + b",") * 100, 1_900
    splitter = FeatureCollectionSplitter()
    count = 0
    tracemalloc.start()
    try:
        splitter.feed(b'{"type":"FeatureCollection","features":[')
        for _ in range(blocks):
            count += sum(piece.count for piece in splitter.feed(block))
        count += sum(piece.count for piece in splitter.feed(feature + b"]}") + splitter.finish())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(block) * blocks > 100_000_000
    assert count == 100 * blocks + 1
    assert peak < 20_000_000


def test_a_body_in_single_bytes_waits_in_no_more_memory_than_its_length() -> None:
    splitter = FeatureCollectionSplitter(SplitLimits(piece_bytes=1 << 20))
    tracemalloc.start()
    try:
        for _ in range(500_000):
            splitter.feed(b"  ")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (b"", None),
        (b"\xef\xbb", None),
        (b"\xef\xbb\xbf \n", None),
        (b'\xef\xbb\xbf{"features"', None),
        (b'{"features" : ', True),
        (b'{"type":"FeatureCollection"', True),
        (b'{"a":{"type":"Feature","features":[]},"type": "FeatureCollection"', True),
        (b'{"type":"Feature', None),
        (b'{"type":"FeatureCollection', None),
        (b'{"type":"Feature"', False),
        (b'{"type":"Point","features":', False),
        (b'{"type":', None),
        (b'{"type": ', None),
        (b'{"type":7', False),
        (b'{"type":"Feature\\u0043ollection","features":[', True),
        (b'{"type":"Feature\\u0043ollection",', None),
        (b'{"a":"\\"type\\":\\"Feature\\"', None),
        (b'{"a":["features", {"features":[]', None),
        (b'{"name":"type","x":"Feature"', None),
        (b"{}", False),
        (b'{"a":{"type":"FeatureCollection"}}', False),
        (b'{}{"features":[]}', False),
        (b"[", False),
        (b"\x1e{", False),
        (b"\xff\xfe", False),
    ],
)
def test_the_first_bytes_tell_a_collection_from_a_feature(head: bytes, told: bool | None) -> None:
    assert is_feature_collection(head) is told


@given(MEMBERS, RANDOM, st.booleans())
@example({"type": "Feature"}, random.Random(0), True)
def test_more_of_a_body_never_changes_what_its_first_bytes_told(
    members: dict[str, object], random: random.Random, collection: bool
) -> None:
    body = (
        collection_text(members, [], random)
        if collection
        else written(members, random, " ").encode()
    )
    answers = [is_feature_collection(body[:size]) for size in range(len(body) + 1)]
    certain = [answer for answer in answers if answer is not None]
    assert certain == [certain[0]] * len(certain)
    assert answers[-1] is (collection if "type" not in members else certain[0])
