"""CQL2 text to the tree: a parser by recursive descent, one method a rank of operators. Source: OGC 21-065r2, Annex B.

The grammar's kinds of expressions look alike until they are read: `(a + 1) * 2 > b` and `(a > 1 OR b)` both begin with a
parenthesis. So everything is read as one kind, without going back, and each operator then looks at what it was given.
"""

from collections.abc import Callable

from geosvc.cql2.building import (
    Builder,
    Caps,
    GeometryReader,
    condition,
    make_date,
    make_edge,
    make_number,
    make_timestamp,
    scalar,
    value_of,
)
from geosvc.cql2.names import ARRAY, SPATIAL, TEMPORAL, WKT
from geosvc.cql2.tokens import Token, TokenKind, Tokens
from geosvc.cql2.tree import (
    And,
    Arithmetic,
    ArithmeticOperator,
    Array,
    ArrayPredicate,
    Between,
    Boolean,
    Comparison,
    ComparisonOperator,
    Condition,
    Date,
    Folded,
    Function,
    In,
    IntervalLiteral,
    IsNull,
    Like,
    Node,
    Not,
    Number,
    Or,
    Property,
    Scalar,
    Spatial,
    Temporal,
    Text,
    Timestamp,
    Value,
)
from geosvc.cql2.wkt import WktReader
from geosvc.errors import InvalidFilter

_COMPARISONS: dict[str, ComparisonOperator] = {
    "=": "=",
    "<>": "<>",
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
}
_SUMS: dict[str, ArithmeticOperator] = {"+": "+", "-": "-"}
_PRODUCTS: dict[str, ArithmeticOperator] = {"*": "*", "/": "/", "%": "%", "DIV": "div"}
_RESERVED = frozenset({"AND", "OR", "NOT", "LIKE", "BETWEEN", "IN", "IS", "NULL", "DIV"})


class _Parser:
    def __init__(self, text: str, caps: Caps, geometries: GeometryReader) -> None:
        self._tokens = Tokens(text)
        self._builder = Builder(caps)
        self._geometries = geometries
        self._wkt = WktReader(self._tokens, self._builder)
        self._keywords: dict[str, Callable[[Token], Node]] = {
            **dict.fromkeys(SPATIAL, self._spatial),
            **dict.fromkeys(TEMPORAL, self._temporal),
            **dict.fromkeys(ARRAY, self._array_predicate),
            **dict.fromkeys(WKT, self._geometry),
            "CASEI": self._folded,
            "ACCENTI": self._folded,
            "DATE": self._instant,
            "TIMESTAMP": self._instant,
            "INTERVAL": self._interval,
            "BBOX": self._bbox,
        }

    def whole(self) -> Condition:
        node = condition(self._disjunction())
        if self._tokens.next.kind is not TokenKind.END:
            raise self._tokens.unexpected("AND, OR or the end")
        return node

    def _disjunction(self) -> Node:
        first = self._conjunction()
        if self._tokens.next.word != "OR":
            return first
        args = [condition(first)]
        while self._tokens.has_word("OR"):
            args.append(condition(self._conjunction()))
        return self._builder.made(Or(tuple(args), at=first.at))

    def _conjunction(self) -> Node:
        first = self._negation()
        if self._tokens.next.word != "AND":
            return first
        args = [condition(first)]
        while self._tokens.has_word("AND"):
            args.append(condition(self._negation()))
        return self._builder.made(And(tuple(args), at=first.at))

    def _negation(self) -> Node:
        token = self._tokens.next
        if token.word != "NOT":
            return self._predicate()
        self._tokens.take()
        self._builder.enter(token.at)
        arg = condition(self._negation())
        self._builder.leave()
        return self._builder.made(Not(arg, at=token.at))

    def _predicate(self) -> Node:
        left = self._sum()
        token = self._tokens.next
        if token.kind is TokenKind.SIGN and token.text in _COMPARISONS:
            self._tokens.take()
            right = scalar(self._sum())
            return self._builder.made(
                Comparison(_COMPARISONS[token.text], scalar(left), right, at=left.at)
            )
        if token.word == "IS":
            return self._null_test(left)
        negated = token.word == "NOT" and self._tokens.following.word in ("LIKE", "BETWEEN", "IN")
        if negated:
            self._tokens.take()
        word = self._tokens.next.word
        if word not in ("LIKE", "BETWEEN", "IN"):
            return left
        self._tokens.take()
        test: Condition
        if word == "LIKE":
            test = Like(scalar(left), self._pattern(), at=left.at)
        elif word == "BETWEEN":
            low = scalar(self._sum())
            self._tokens.expect_word("AND")
            test = Between(scalar(left), low, scalar(self._sum()), at=left.at)
        else:
            test = In(scalar(left), tuple(map(scalar, self._listed(self._sum))), at=left.at)
        self._builder.made(test)
        return self._builder.made(Not(test, at=left.at)) if negated else test

    def _null_test(self, tested: Node) -> Node:
        self._tokens.expect_word("IS")
        negated = self._tokens.has_word("NOT")
        self._tokens.expect_word("NULL")
        test = self._builder.made(IsNull(value_of(tested), at=tested.at))
        return self._builder.made(Not(test, at=tested.at)) if negated else test

    def _pattern(self) -> Scalar:
        node = scalar(self._primary())
        inner = node
        while isinstance(inner, Folded):
            inner = inner.text
        if not isinstance(inner, Text):
            raise InvalidFilter("a pattern in single quotes was expected behind LIKE", node.at)
        return node

    def _sum(self) -> Node:
        return self._chain(_SUMS, self._product)

    def _product(self) -> Node:
        return self._chain(_PRODUCTS, self._power)

    def _chain(self, operators: dict[str, ArithmeticOperator], operand: Callable[[], Node]) -> Node:
        """Operands from left to right."""
        left = operand()
        while (
            op := operators.get(self._tokens.next.word or self._tokens.next.text)
        ) and self._is_operator():
            self._tokens.take()
            left = self._builder.made(Arithmetic(op, scalar(left), scalar(operand()), at=left.at))
        return left

    def _is_operator(self) -> bool:
        return self._tokens.next.kind in (TokenKind.SIGN, TokenKind.WORD)

    def _power(self) -> Node:
        base = self._signed()
        if not self._tokens.next.is_sign("^"):
            return base
        self._builder.enter(self._tokens.take().at)
        exponent = scalar(self._power())
        self._builder.leave()
        return self._builder.made(Arithmetic("^", scalar(base), exponent, at=base.at))

    def _signed(self) -> Node:
        token = self._tokens.next
        if not (token.is_sign("-") or token.is_sign("+")):
            return self._primary()
        self._tokens.take()
        self._builder.enter(token.at)
        signed = scalar(self._signed())
        self._builder.leave()
        if token.text == "+":
            return signed
        if isinstance(signed, Number):
            return Number(-signed.value, at=token.at)
        minus = self._builder.made(Number(make_number("-1", token.at), at=token.at))
        return self._builder.made(Arithmetic("*", minus, signed, at=token.at))

    def _primary(self) -> Node:
        token = self._tokens.next
        if token.kind is TokenKind.TEXT:
            return self._builder.made(Text(self._tokens.take().text, at=token.at))
        if token.kind is TokenKind.NUMBER:
            return self._builder.made(
                Number(make_number(self._tokens.take().text, token.at), at=token.at)
            )
        if token.kind is TokenKind.NAME:
            self._tokens.take()
            if self._tokens.next.is_sign("("):
                return self._function(token)
            return self._builder.made(Property(token.text, at=token.at))
        if token.is_sign("("):
            return self._parenthesis()
        if token.kind is TokenKind.WORD and token.word not in _RESERVED:
            return self._word(self._tokens.take())
        if token.word == "NULL":
            raise InvalidFilter(
                "nothing is equal to NULL: CQL2 writes IS NULL or IS NOT NULL", token.at
            )
        raise self._tokens.unexpected("a property, a literal, a function or '('")

    def _parenthesis(self) -> Node:
        self._builder.enter(self._tokens.take().at)
        node = self._disjunction()
        self._builder.leave()
        self._tokens.expect(")")
        return node

    def _word(self, token: Token) -> Node:
        if token.word in ("TRUE", "FALSE"):
            return self._builder.made(Boolean(token.word == "TRUE", at=token.at))
        called = self._tokens.next.is_sign("(")
        tagged = (
            token.word in WKT
            and self._tokens.next.word == "Z"
            and self._tokens.following.is_sign("(")
        )
        if called or tagged:
            return self._keywords.get(token.word, self._function)(token)
        return self._builder.made(Property(token.text, at=token.at))

    def _listed(self, each: Callable[[], Node]) -> list[Node]:
        """One or more in parentheses, with commas between them."""
        self._builder.enter(self._tokens.expect("(").at)
        found = [each()]
        while self._tokens.has_sign(","):
            found.append(each())
        self._builder.leave()
        self._tokens.expect(")")
        return found

    def _function(self, token: Token) -> Node:
        if self._tokens.following.is_sign(")"):
            self._tokens.take()
            self._tokens.take()
            args: list[Node] = []
        else:
            args = self._listed(self._argument)
        return self._builder.made(Function(token.text, tuple(map(value_of, args)), at=token.at))

    def _argument(self) -> Node:
        return self._sum()

    def _two(self, token: Token, each: Callable[[], Node]) -> tuple[Value, Value]:
        args = self._listed(each)
        if len(args) != 2:
            raise InvalidFilter(f"{token.word} takes two arguments, not {len(args)}", token.at)
        return value_of(args[0]), value_of(args[1])

    def _spatial(self, token: Token) -> Node:
        left, right = self._two(token, self._argument)
        return self._builder.made(Spatial(SPATIAL[token.word], left, right, at=token.at))

    def _temporal(self, token: Token) -> Node:
        left, right = self._two(token, self._argument)
        return self._builder.made(Temporal(TEMPORAL[token.word], left, right, at=token.at))

    def _array_predicate(self, token: Token) -> Node:
        left, right = self._two(token, self._array_operand)
        return self._builder.made(ArrayPredicate(ARRAY[token.word], left, right, at=token.at))

    def _array_operand(self) -> Node:
        """A list in parentheses, of one element as well; whatever else is a property or a function."""
        token = self._tokens.next
        if not token.is_sign("("):
            return self._sum()
        if self._tokens.following.is_sign(")"):
            return self._list()
        return self._builder.made(
            Array(tuple(map(value_of, self._listed(self._element))), at=token.at)
        )

    def _element(self) -> Node:
        """A value, or a list: `(1, 2)` is an array and `(1 + 2) * 3` is none."""
        return self._list() if self._tokens.begins_list() else self._sum()

    def _list(self) -> Node:
        token = self._tokens.next
        if self._tokens.following.is_sign(")"):
            self._tokens.take()
            self._tokens.take()
            return self._builder.made(Array((), at=token.at))
        return self._builder.made(
            Array(tuple(map(value_of, self._listed(self._element))), at=token.at)
        )

    def _folded(self, token: Token) -> Node:
        inner = self._listed(self._sum)
        if len(inner) != 1:
            raise InvalidFilter(f"{token.word} takes one text", token.at)
        return self._builder.made(
            Folded("casei" if token.word == "CASEI" else "accenti", scalar(inner[0]), at=token.at)
        )

    def _quoted(self) -> Token:
        if self._tokens.next.kind is not TokenKind.TEXT:
            raise self._tokens.unexpected("a text in single quotes")
        return self._tokens.take()

    def _instant(self, token: Token) -> Node:
        self._tokens.expect("(")
        text = self._quoted()
        self._tokens.expect(")")
        if token.word == "DATE":
            return self._builder.made(Date(make_date(text.text, text.at), at=token.at))
        return self._builder.made(Timestamp(make_timestamp(text.text, text.at), at=token.at))

    def _interval(self, token: Token) -> Node:
        self._tokens.expect("(")
        start = self._edge()
        self._tokens.expect(",")
        end = self._edge()
        self._tokens.expect(")")
        return self._builder.made(IntervalLiteral(start, end, at=token.at))

    def _edge(self) -> Scalar | None:
        token = self._tokens.next
        if token.kind is not TokenKind.TEXT:
            return scalar(self._primary())
        return make_edge(self._tokens.take().text, token.at)

    def _geometry(self, token: Token) -> Node:
        return self._builder.made(self._geometries.geometry(self._wkt.read(token), token.at))

    def _bbox(self, token: Token) -> Node:
        return self._builder.made(self._geometries.box(self._wkt.box(), token.at))


def parse_text(text: str, caps: Caps, geometries: GeometryReader) -> Condition:
    """The tree of a filter in CQL2 text.

    Raises: InvalidFilter, with the place of the fault and what was expected there.
    """
    if len(text) > caps.length:
        raise InvalidFilter(f"the filter has more than {caps.length} characters", caps.length + 1)
    return _Parser(text, caps, geometries).whole()
