# SPDX-License-Identifier: MIT
"""JSON Schema, as far as the OpenAPI document of the node goes.  Written by hand, because Debian's
packages for it are no requirement of ours; a word it does not know is an error."""
import re

TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$")
PYTHON = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool,
          "null": type(None)}
NOTES = {"description", "default", "contentEncoding"}


def is_a(value, name):
    return isinstance(value, PYTHON[name]) and (name == "boolean" or not isinstance(value, bool))


def within(schema, low, high, number):
    return schema.get(low, number) <= number <= schema.get(high, number)


def errors(value, schema, document, where="", strict=False):
    """What is wrong with a value, as texts.  `strict`: answers; they have no member that their schema
    does not name, and times look as the node writes them."""
    def inner(part, its_schema, name=""):
        return errors(part, its_schema, document, where + name, strict)

    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    found = []
    for word, rule in schema.items():
        good = True
        if word == "type":
            good = any(is_a(value, name) for name in (rule if isinstance(rule, list) else [rule]))
        elif word == "enum":
            good = value in rule
        elif word in ("minimum", "maximum"):
            good = not is_a(value, "number") or within(schema, "minimum", "maximum", value)
        elif word in ("minLength", "maxLength"):
            good = not is_a(value, "string") or within(schema, "minLength", "maxLength", len(value))
        elif word in ("minItems", "maxItems"):
            good = not is_a(value, "array") or within(schema, "minItems", "maxItems", len(value))
        elif word in ("minProperties", "maxProperties"):
            good = not is_a(value, "object") or within(schema, "minProperties", "maxProperties", len(value))
        elif word == "pattern":
            good = not is_a(value, "string") or re.search(rule, value)
        elif word == "format":
            good = rule == "date-time" and (not strict or value is None or TIME.match(value))
        elif word == "required":
            good = not is_a(value, "object") or all(name in value for name in rule)
        elif word == "properties":
            if is_a(value, "object"):
                good = not strict or set(value) <= set(rule)
                found += [e for name, part in value.items() if name in rule
                          for e in inner(part, rule[name], f".{name}")]
        elif word == "items":
            if is_a(value, "array"):
                found += [e for i, part in enumerate(value) for e in inner(part, rule, f"[{i}]")]
        elif word == "additionalProperties":
            if is_a(value, "object"):
                found += [e for name, part in value.items() for e in inner(part, rule, f"[{name!r}]")]
        elif word == "propertyNames":
            if is_a(value, "object"):
                found += [e for name in value for e in inner(name, rule, f"({name!r})")]
        elif word == "anyOf":
            good = any(not inner(value, one) for one in rule)
        elif word == "oneOf":
            good = sum(not inner(value, one) for one in rule) == 1
        elif word == "not":
            good = inner(value, rule)
        else:
            assert word in NOTES, f"{where}: a schema with {word}"
        if not good:
            found.append(f"{where or 'value'}: {word} {rule!r}, got {value!r:.200}")
    return found
