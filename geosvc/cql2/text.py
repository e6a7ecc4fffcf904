"""Parses CQL2 text to the tree. Source: OGC 21-065r2, Annex B.

The parser is a recursive descent with one method for each precedence of operators. It never goes
back. Conditions and values cannot be told apart before they have been read: `(a + 1) * 2 > b` and
`(a > 1 OR b)` begin alike. So one method parses whatever stands in parentheses, and each operator
checks that its operands are of the kind that it takes.
"""

from collections.abc import Mapping
from decimal import Decimal

from geosvc.cql2.caps import Caps, CapsChecker
from geosvc.cql2.literal_parsing import GeometryReader, parse_number
from geosvc.cql2.names import COMPARISONS, PRODUCTS, SUMS
from geosvc.cql2.narrowing import as_condition, as_scalar, as_value
from geosvc.cql2.text_calls import CallParser
from geosvc.cql2.tokens import TokenKind, Tokens
from geosvc.cql2.tree import (
    And,
    Arithmetic,
    ArithmeticOperator,
    Between,
    Boolean,
    Comparison,
    Condition,
    Folded,
    In,
    IsNull,
    Like,
    Node,
    Not,
    Number,
    Or,
    Property,
    Scalar,
    Text,
)
from geosvc.errors import InvalidFilter

_TESTS = frozenset({"LIKE", "BETWEEN", "IN"})
_RESERVED = frozenset({*_TESTS, "AND", "OR", "NOT", "IS", "NULL", "DIV"})


class _TextParser:
    """Parses one filter.

    Each method takes the tokens of what it returns, and raises InvalidFilter if they are others.
    Its docstring says what it takes: `[…]` may be missing, `{…}` may be missing or repeated, names
    in lower case are other methods.
    """

    def __init__(self, text: str, caps: Caps, geometries: GeometryReader) -> None:
        self._tokens = Tokens(text)
        self._checker = CapsChecker(caps)
        self._check = self._checker.check
        self._calls = CallParser(
            self._tokens,
            self._checker,
            geometries,
            parse_value=self._parse_sum,
            parse_primary=self._parse_primary,
        )

    def parse(self) -> Condition:
        """Parses the whole filter."""
        node = as_condition(self._parse_or())
        if self._tokens.next.kind is not TokenKind.END:
            raise self._tokens.unexpected("AND, OR or the end")
        return node

    # Conditions

    def _parse_or(self) -> Node:
        """Parses `and {OR and}`."""
        first = self._parse_and()
        if self._tokens.next.word != "OR":
            return first
        args = [as_condition(first)]
        while self._tokens.take_word("OR"):
            arg = self._parse_and()
            args.append(as_condition(arg))
        node = Or(tuple(args), at=first.at)
        return self._check(node)

    def _parse_and(self) -> Node:
        """Parses `not {AND not}`."""
        first = self._parse_not()
        if self._tokens.next.word != "AND":
            return first
        args = [as_condition(first)]
        while self._tokens.take_word("AND"):
            arg = self._parse_not()
            args.append(as_condition(arg))
        node = And(tuple(args), at=first.at)
        return self._check(node)

    def _parse_not(self) -> Node:
        """Parses `NOT not | predicate`."""
        token = self._tokens.next
        if token.word != "NOT":
            return self._parse_predicate()
        self._tokens.take()
        self._checker.enter(token.at)
        arg = as_condition(self._parse_not())
        self._checker.leave()
        node = Not(arg, at=token.at)
        return self._check(node)

    def _parse_predicate(self) -> Node:
        """Parses `sum [comparison | null_test | [NOT] test]`."""
        left = self._parse_sum()
        token = self._tokens.next
        if token.kind is TokenKind.SIGN:
            if token.text in COMPARISONS:
                return self._parse_comparison(left)
            return left
        if token.word == "IS":
            return self._parse_null_test(left)
        if token.word in _TESTS:
            return self._parse_test(left)
        if token.word == "NOT" and self._tokens.after_next.word in _TESTS:
            self._tokens.take()
            test = self._parse_test(left)
            return self._check(Not(test, at=left.at))
        return left

    def _parse_comparison(self, left: Node) -> Node:
        """Parses `("=" | "<>" | "<" | "<=" | ">" | ">=") sum`."""
        token = self._tokens.take()
        operator = COMPARISONS[token.text]
        right = as_scalar(self._parse_sum())
        node = Comparison(operator, as_scalar(left), right, at=left.at)
        return self._check(node)

    def _parse_null_test(self, tested: Node) -> Node:
        """Parses `IS [NOT] NULL`."""
        self._tokens.expect_word("IS")
        is_negated = self._tokens.take_word("NOT")
        self._tokens.expect_word("NULL")
        test = IsNull(as_value(tested), at=tested.at)
        self._check(test)
        if is_negated:
            return self._check(Not(test, at=tested.at))
        return test

    def _parse_test(self, tested: Node) -> Condition:
        """Parses `LIKE pattern | BETWEEN sum AND sum | IN "(" sum {"," sum} ")"`."""
        token = self._tokens.take()
        value = as_scalar(tested)
        test: Condition
        if token.word == "LIKE":
            pattern = self._parse_pattern()
            test = Like(value, pattern, at=tested.at)
        elif token.word == "BETWEEN":
            low = as_scalar(self._parse_sum())
            self._tokens.expect_word("AND")
            high = as_scalar(self._parse_sum())
            test = Between(value, low, high, at=tested.at)
        else:
            nodes = self._calls.parse_listed(self._parse_sum)
            members = [as_scalar(node) for node in nodes]
            test = In(value, tuple(members), at=tested.at)
        return self._check(test)

    def _parse_pattern(self) -> Scalar:
        """Parses `TEXT | (CASEI | ACCENTI) "(" pattern ")"`."""
        pattern = as_scalar(self._parse_primary())
        innermost = pattern
        while isinstance(innermost, Folded):
            innermost = innermost.text
        if not isinstance(innermost, Text):
            raise InvalidFilter("a pattern in single quotes was expected behind LIKE", pattern.at)
        return pattern

    # Arithmetic

    def _parse_sum(self) -> Node:
        """Parses `product {("+" | "-") product}`."""
        left = self._parse_product()
        operator = self._next_operator(SUMS)
        while operator is not None:
            self._tokens.take()
            left = as_scalar(left)
            right = as_scalar(self._parse_product())
            node = Arithmetic(operator, left, right, at=left.at)
            left = self._check(node)
            operator = self._next_operator(SUMS)
        return left

    def _parse_product(self) -> Node:
        """Parses `power {("*" | "/" | "%" | DIV) power}`."""
        left = self._parse_power()
        operator = self._next_operator(PRODUCTS)
        while operator is not None:
            self._tokens.take()
            left = as_scalar(left)
            right = as_scalar(self._parse_power())
            node = Arithmetic(operator, left, right, at=left.at)
            left = self._check(node)
            operator = self._next_operator(PRODUCTS)
        return left

    def _next_operator(
        self, operators: Mapping[str, ArithmeticOperator]
    ) -> ArithmeticOperator | None:
        """Which of some operators is the next token; None if it is none of them."""
        token = self._tokens.next
        if token.kind is TokenKind.SIGN:
            return operators.get(token.text)
        return operators.get(token.word)

    def _parse_power(self) -> Node:
        """Parses `signed ["^" power]`."""
        base = self._parse_signed()
        if not self._tokens.next.is_sign("^"):
            return base
        token = self._tokens.take()
        self._checker.enter(token.at)
        exponent = as_scalar(self._parse_power())
        self._checker.leave()
        node = Arithmetic("^", as_scalar(base), exponent, at=base.at)
        return self._check(node)

    def _parse_signed(self) -> Node:
        """Parses `{"-" | "+"} primary`.

        `-a` becomes `-1 * a`; the sign of a number becomes a part of the number.
        """
        token = self._tokens.next
        if not (token.is_sign("-") or token.is_sign("+")):
            return self._parse_primary()
        self._tokens.take()
        self._checker.enter(token.at)
        operand = as_scalar(self._parse_signed())
        self._checker.leave()
        if token.text == "+":
            return operand
        if isinstance(operand, Number):
            return Number(-operand.value, at=token.at)
        minus_one = Number(Decimal(-1), at=token.at)
        self._check(minus_one)
        node = Arithmetic("*", minus_one, operand, at=token.at)
        return self._check(node)

    # Values, calls, and parentheses around anything

    def _parse_primary(self) -> Node:
        """Parses `TEXT | NUMBER | quoted | word | parentheses`."""
        token = self._tokens.next
        if token.kind is TokenKind.TEXT:
            self._tokens.take()
            return self._check(Text(token.text, at=token.at))
        if token.kind is TokenKind.NUMBER:
            self._tokens.take()
            number = parse_number(token.text, token.at)
            return self._check(Number(number, at=token.at))
        if token.kind is TokenKind.NAME:
            return self._parse_quoted()
        if token.kind is TokenKind.WORD and token.word not in _RESERVED:
            return self._parse_word()
        if token.is_sign("("):
            return self._parse_parentheses()
        if token.word == "NULL":
            raise InvalidFilter(
                "nothing is equal to NULL: CQL2 writes IS NULL or IS NOT NULL", token.at
            )
        raise self._tokens.unexpected("a property, a literal, a function or '('")

    def _parse_parentheses(self) -> Node:
        """Parses `"(" or ")"`."""
        opening = self._tokens.expect_sign("(")
        self._checker.enter(opening.at)
        node = self._parse_or()
        self._checker.leave()
        self._tokens.expect_sign(")")
        return node

    def _parse_quoted(self) -> Node:
        """Parses `NAME | NAME call`."""
        name = self._tokens.take()
        if self._tokens.next.is_sign("("):
            return self._calls.parse_function(name)
        return self._check(Property(name.text, at=name.at))

    def _parse_word(self) -> Node:
        """Parses `TRUE | FALSE | WORD | call`."""
        name = self._tokens.take()
        if name.word in ("TRUE", "FALSE"):
            value = name.word == "TRUE"
            return self._check(Boolean(value, at=name.at))
        if self._calls.is_next(name):
            return self._calls.parse(name)
        return self._check(Property(name.text, at=name.at))


def parse_text(text: str, caps: Caps, geometries: GeometryReader) -> Condition:
    """Parses a filter in CQL2 text.

    Raises: InvalidFilter, with where the mistake is and what was expected there.
    """
    if len(text) > caps.length:
        raise InvalidFilter(f"the filter has more than {caps.length} characters", caps.length + 1)
    return _TextParser(text, caps, geometries).parse()
