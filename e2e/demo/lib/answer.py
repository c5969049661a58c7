"""Shows and checks the last HTTP answer. Numbers keep the text they were sent with.

answer.py show <dir> <lines>          print status, telling headers and body, at most so many lines of it
answer.py check <dir> <expression>    exit 0 when the Python expression holds
answer.py get <dir> <expression>      print the expression's value

In expressions: d is the body as JSON, text as it came, h the headers in lower case, status the status, totals what the loader computed.
"""

import json
import os
import sys
from decimal import Decimal

WIDTH = 160
TELLING = ("etag", "location", "link", "retry-after", "content-type", "idempotency-replayed", "preference-applied")


class Exact(Decimal):
    """A number that prints as it was written."""

    def __new__(cls, text):
        value = super().__new__(cls, text)
        value.text = text
        return value


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def load(folder):
    lines = read(os.path.join(folder, "headers")).splitlines()
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    body = read(os.path.join(folder, "body"))
    try:
        data = json.loads(body, parse_float=Exact)
    except ValueError:
        data = None
    return (lines[0] if lines else "no answer"), headers, body, data


def inline(value):
    if isinstance(value, Exact):
        return value.text
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k, ensure_ascii=False)}: {inline(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(inline(v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def lay_out(value, indent=0, label=""):
    """Lines of the value after its label: on one line when it fits, else one line a member."""
    flat = label + inline(value)
    if not isinstance(value, (dict, list)) or not value or indent + len(flat) <= WIDTH:
        return [" " * indent + flat]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    members = value.items() if isinstance(value, dict) else [(None, v) for v in value]
    lines = [" " * indent + label + opening]
    for i, (key, member) in enumerate(members):
        name = "" if key is None else f"{json.dumps(key, ensure_ascii=False)}: "
        inner = lay_out(member, indent + 2, name)
        inner[-1] += "," if i + 1 < len(value) else ""
        lines += inner
    return lines + [" " * indent + closing]


def show(folder, most):
    status_line, headers, body, data = load(folder)
    print(status_line)
    for name in TELLING:
        if name in headers and (name != "content-type" or not headers[name].startswith("application/json")):
            value = headers[name]
            print(f"{name}: {value if len(value) <= WIDTH else value[:WIDTH] + '…'}")
    lines = lay_out(data) if data is not None else body.splitlines()
    for line in lines[:most]:
        print(line)
    if len(lines) > most:
        print(f"… {len(lines) - most} more lines")


def main():
    verb, folder, argument = sys.argv[1:4]
    if verb == "show":
        return show(folder, int(argument))
    status_line, headers, body, data = load(folder)
    totals = read(os.path.join(folder, "totals.json"))
    names = {
        "d": data,
        "text": body,
        "h": headers,
        "status": int((status_line.split() + ["0", "0"])[1]),
        "totals": json.loads(totals) if totals else None,
        "Decimal": Decimal,
    }
    # The expressions are written in the demo's own scripts.
    try:
        value = eval(argument, names)  # noqa: S307
    except (KeyError, IndexError, TypeError, AttributeError, ArithmeticError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    if verb == "get":
        print(value)
        return 0
    return 0 if value else 1


if __name__ == "__main__":
    sys.exit(main())
