"""Names of collections for functions: PostgreSQL allows several functions of one name.

The rows are those of `sql/catalog.sql`, where `parameters` is null for tables and views.
"""

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
    functions_by_name: dict[str, int] = {}
    for function in functions:
        name = function["name"]
        functions_by_name[name] = functions_by_name.get(name, 0) + 1
    for function in sorted(functions, key=_sort_key):
        called = choose_free_name(_possible_names(function), taken)
        taken.add(called)
        parameters = function["parameters"]
        if functions_by_name[function["name"]] > 1:
            parameters = [{**parameter, "required": True} for parameter in parameters]
        rival = _find_rival(function, functions)
        named.append({**function, "called": called, "parameters": parameters, "rival": rival})
    return named


def _sort_key(function: Mapping[str, Any]) -> tuple[str, int, str]:
    parameters = function["parameters"]
    return function["name"], len(parameters), str(parameters)


def _possible_names(function: Mapping[str, Any]) -> list[str]:
    """The bare name; with the parameters' names; with their types too; with the schema."""
    name = function["name"]
    with_names = [name]
    with_types = [name]
    for parameter in function["parameters"]:
        with_names.append(parameter["name"])
        with_types.append(f"{parameter['name']}-{parameter['type_name']}")
    return [name, "-".join(with_names), "-".join(with_types), f"{FUNCTION_SCHEMA}.{name}"]


def _signature(function: Mapping[str, Any]) -> str:
    arguments = ", ".join(
        f"{parameter['name']} {parameter['type']}" for parameter in function["parameters"]
    )
    return f"{function['schema']}.{function['name']}({arguments})"


def _find_rival(function: Mapping[str, Any], functions: Iterable[Mapping[str, Any]]) -> str:
    """The signature of an overload that matches every call of this function; "" without one.

    Such an overload takes the same arguments and has defaults for its others. PostgreSQL refuses a
    call that matches both ("function is not unique").
    """
    own = {(parameter["name"], parameter["type"]) for parameter in function["parameters"]}
    for other in functions:
        if other["name"] != function["name"]:
            continue
        is_required = {
            (parameter["name"], parameter["type"]): parameter["required"]
            for parameter in other["parameters"]
        }
        further = is_required.keys() - own
        if own < is_required.keys() and not any(is_required[name] for name in further):
            return _signature(other)
    return ""
