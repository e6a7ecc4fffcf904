"""Names of collections for functions: PostgreSQL allows several functions of one name.

The rows are those of `sql/catalog.sql`, where `parameters` is null for tables and views.
"""

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

FUNCTION_SCHEMA = "geosvc_functions"


def choose_free_name(names: Sequence[str], taken: Container[str]) -> str:
    """The first name that is not taken; the last when all are."""
    for name in names:
        if name not in taken:
            return name
    return names[-1]


def name_relations_and_functions(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows with the name of their collection as `called`, relations first.

    A function may share its name with a relation or with other functions. The first of them, in the
    order of parameters, keeps the bare name; the names of the others contain their parameters. All
    parameters of overloaded functions are required, so that each call matches one function.
    """
    named: list[Mapping[str, Any]] = []
    functions = []
    taken = set()
    for row in rows:
        if row["parameters"] is None:
            taken.add(row["name"])
            named.append({**row, "called": row["name"]})
        else:
            functions.append(row)
    overloads = Counter(function["name"] for function in functions)
    for function in sorted(functions, key=_sort_key):
        called = choose_free_name(_possible_names(function), taken)
        taken.add(called)
        parameters = function["parameters"]
        if overloads[function["name"]] > 1:
            parameters = _required(parameters)
        rival = _find_rival(function, functions)
        named.append({**function, "called": called, "parameters": parameters, "rival": rival})
    return named


def _required(parameters: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The parameters, all of them required."""
    required: list[Mapping[str, Any]] = []
    for parameter in parameters:
        required.append({**parameter, "required": True})
    return required


def _sort_key(function: Mapping[str, Any]) -> tuple[str, int, str]:
    parameters = function["parameters"]
    return function["name"], len(parameters), str(parameters)


def _possible_names(function: Mapping[str, Any]) -> list[str]:
    """The bare name; with the parameters' names; with their types too; with the schema."""
    name = function["name"]
    with_names = [name]
    with_types = [name]
    for parameter in function["parameters"]:
        parameter_name = parameter["name"]
        type_name = parameter["type_name"]
        with_names.append(parameter_name)
        with_types.append(f"{parameter_name}-{type_name}")
    return [
        name,
        "-".join(with_names),
        "-".join(with_types),
        f"{FUNCTION_SCHEMA}.{name}",
    ]


def _signature(function: Mapping[str, Any]) -> str:
    arguments = []
    for parameter in function["parameters"]:
        arguments.append(f"{parameter['name']} {parameter['type']}")
    return f"{function['schema']}.{function['name']}({', '.join(arguments)})"


def _find_rival(function: Mapping[str, Any], functions: Iterable[Mapping[str, Any]]) -> str:
    """The signature of an overload that matches every call of this function; "" without one.

    Such an overload takes the same arguments and has defaults for its others. PostgreSQL refuses a
    call that matches both ("function is not unique").
    """
    own = _required_by_parameter(function).keys()
    for other in functions:
        if other["name"] != function["name"]:
            continue
        is_required = _required_by_parameter(other)
        further = is_required.keys() - own
        has_all = own < is_required.keys()
        if has_all and not any(is_required[parameter] for parameter in further):
            return _signature(other)
    return ""


def _required_by_parameter(function: Mapping[str, Any]) -> dict[tuple[str, str], bool]:
    """Whether each parameter is required, by its name and type."""
    is_required = {}
    for parameter in function["parameters"]:
        name_and_type = (parameter["name"], parameter["type"])
        is_required[name_and_type] = parameter["required"]
    return is_required
