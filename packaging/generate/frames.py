"""The frames of the link and their bounds as a table, from ``agentgather/wire/link.py``."""

import inspect
from collections.abc import Iterator
from typing import Any, Final, get_args

import msgspec
from msgspec.inspect import (
    BoolType,
    BytesType,
    Field,
    IntType,
    NoneType,
    StrType,
    StructType,
    UnionType,
    VarTupleType,
    type_info,
)

from agentgather.wire import link
from agentgather.wire.link import CLOSE_CODES, LINK_PATH, SUBPROTOCOL, FromBroker, FromHost

_HEAD: Final = f"""
# Frames of the link

Every frame of the link between a host and a broker, `{SUBPROTOCOL}` at `{LINK_PATH}`, with
its keys and their bounds. [tunnel.md](tunnel.md) says what they mean and in which order they
come; [vectors/link.jsonl](vectors/link.jsonl) has their bytes.

A frame is one binary WebSocket message: one msgpack map whose keys are texts, and nothing
behind it. Its key `t` names it. *Bytes* are msgpack's `bin`, and *text* is its `str`, in UTF-8.
Our programs leave out a key whose value is its default; others may write it. A value of
another type, or out of its bounds, makes the frame none.
"""
_CLOSES: Final = """
## Close codes

The code of the WebSocket close of whoever ends a link; the reason is its name. A close with
any other number just ends the link.

| code | number |
|---|---|
"""


def frames() -> str:
    """Give the page."""
    lines = [_HEAD.strip(), "", "| frame | from | keys |", "|---|---|---|"]
    # In the order of their declaration, which is that of a conversation.
    both = {*get_args(FromBroker), *get_args(FromHost)}
    structs: list[type[msgspec.Struct]] = [
        one for one in vars(link).values() if isinstance(one, type) and one in both
    ]
    for struct in structs:
        keys = " ".join(f"`{name}`" for name in struct.__struct_fields__)
        lines.append(f"| [{_tag(struct)}](#{_tag(struct)}) | {_sender(struct)} | {keys} |")
    for struct in structs:
        lines += ["", f"## {_tag(struct)}", "", _text(struct), ""]
        lines += ["| key | type | default |", "|---|---|---|", *_rows(struct)]
    lines += ["", _CLOSES.strip()]
    lines += [f"| `{code}` | {number} |" for code, number in CLOSE_CODES.items()]
    return "\n".join([*lines, ""])


def _tag(struct: type[msgspec.Struct]) -> str:
    return str(struct.__struct_config__.tag)


def _sender(struct: type[msgspec.Struct]) -> str:
    senders = [
        name
        for name, union in (("broker", FromBroker), ("host", FromHost))
        if struct in get_args(union)
    ]
    return " and ".join(senders)


def _text(struct: type[msgspec.Struct]) -> str:
    return inspect.cleandoc(struct.__doc__ or "").replace("``", "`")


def _rows(struct: type[msgspec.Struct]) -> Iterator[str]:
    info = type_info(struct)
    assert isinstance(info, StructType)
    for field in info.fields:
        yield f"| `{field.encode_name}` | {_type(field.type)} | {_default(field)} |"


def _default(field: Field) -> str:
    if field.required:
        return "must be there"
    if isinstance(field.default, bytes | str | tuple) and not field.default:
        return "empty"
    return "absent" if field.default is None else f"`{str(field.default).lower()}`"


def _type(info: Any) -> str:
    match info:
        case BoolType():
            return "true or false"
        case IntType(ge=None, le=None):
            return "integer"
        case IntType(ge=low, le=high):
            return f"integer, {low:,} to {high:,}"
        case BytesType(min_length=None):
            return "bytes"
        case BytesType(min_length=low, max_length=high) if low == high:
            return f"{low} bytes"
        case StrType(pattern=str(pattern)):
            inner = pattern.removeprefix(r"\A").removesuffix(r"\Z")
            return f"text, `^{inner}$`"
        case StrType(max_length=None):
            return "text"
        case StrType(max_length=most):
            return f"text of at most {most:,} characters"
        case UnionType(types=types):
            (only,) = [one for one in types if not isinstance(one, NoneType)]
            return _type(only)
        case VarTupleType():
            return "array of pairs, each an array of two byte strings: name, value"
        case _:
            raise SystemExit(f"generate.frames does not know how to describe {info}")
