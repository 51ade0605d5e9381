"""From a request's octets to a JSON object, and from its values to the types we work with."""

import json
import math
from collections.abc import Mapping
from typing import Any, Never
from urllib.parse import parse_qs

from mail_api.postal_envelope import ParameterError

MAX_FORM_FIELDS = 100
MAX_NUMBER = 300  # characters of a JSON number

Params = Mapping[str, Any]


def read_params(content_type: str, body: bytes, query: str | None) -> Params:
    """Return the call's parameters: a JSON body, or a form (or query) field `params` of JSON.

    As in Postal any other content type means no parameters, and of a name given twice the last
    value counts. Raises ParameterError for what is not UTF-8, not JSON, nested too deep or no
    object, and for a number out of range.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json":
        return _object(_utf8(body))
    if kind == "application/x-www-form-urlencoded" and body:
        return _object(_form_field(body))
    return _object(query or "")


def text(params: Params, name: str) -> str | None:
    """Return a string parameter; None if it is missing, null or blank.

    Raises ParameterError for another type.
    """
    value = params.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise ParameterError(f"{name} must be a string")
    return checked(value, name) if value.strip() else None


def loose_text(value: object, name: str) -> str | None:
    """Return a string or, as Postal would convert it, a number or boolean; None for null.

    Raises ParameterError for a list or an object.
    """
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case int() | float():
            return json.dumps(value)
        case str():
            return checked(value, name)
        case _:
            raise ParameterError(f"{name} must be a string")


def truthy(params: Params, name: str) -> bool:
    """Return a flag by Ruby's rule: everything but null and false is true."""
    value = params.get(name)
    return value is not None and value is not False


def checked(value: str, name: str) -> str:
    """Return `value` if it can be written as UTF-8. Raises ParameterError for lone surrogates."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ParameterError(f"{name} is not valid Unicode text") from error
    return value


def _utf8(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ParameterError("the request body is not UTF-8") from error


def _form_field(body: bytes) -> str:
    try:
        form = parse_qs(_utf8(body), max_num_fields=MAX_FORM_FIELDS, errors="strict")
    except ValueError as error:
        raise ParameterError("the form is not UTF-8 or has too many fields") from error
    return form.get("params", [""])[-1]


def _object(document: str) -> Params:
    if not document.strip():
        return {}
    try:
        value = _read_json(document)
    except RecursionError as error:
        raise ParameterError("the JSON is nested too deep") from error
    except ValueError as error:
        raise ParameterError(f"the parameters are not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise ParameterError("the parameters are not a JSON object")
    return value


def _read_json(document: str) -> Any:
    return json.loads(
        document, parse_constant=_no_constant, parse_int=_integer, parse_float=_fraction
    )


def _integer(digits: str) -> int:
    # Python reads 4,300 digits at most, in time that grows with their square.
    if len(digits) > MAX_NUMBER:
        raise ValueError(f"a number has more than {MAX_NUMBER} characters")
    return int(digits)


def _fraction(digits: str) -> float:
    number = float(digits) if len(digits) <= MAX_NUMBER else math.inf
    if math.isinf(number):
        raise ValueError("a number is out of range")
    return number


def _no_constant(name: str) -> Never:
    raise ValueError(f"{name} is not JSON")
