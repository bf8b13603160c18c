"""The protobuf class for the rows of a table."""

from collections.abc import Sequence
from typing import Any

from google.cloud.bigquery import SchemaField
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Kind = descriptor_pb2.FieldDescriptorProto
ROOT = "Row"
_KINDS: dict[str, Any] = {
    "BOOLEAN": _Kind.TYPE_BOOL,
    "BYTES": _Kind.TYPE_BYTES,
    "DATE": _Kind.TYPE_INT32,
    "FLOAT": _Kind.TYPE_DOUBLE,
    "INTEGER": _Kind.TYPE_INT64,
    "RECORD": _Kind.TYPE_MESSAGE,
    "TIMESTAMP": _Kind.TYPE_INT64,
}
"""The wire type of each column type; all other columns travel as text."""


def row_type(name: str, fields: Sequence[SchemaField]) -> descriptor_pb2.DescriptorProto:
    """The type of a message; it contains the types of nested columns."""
    described = descriptor_pb2.DescriptorProto(name=name)
    for number, field in enumerate(fields, start=1):
        kind = _KINDS.get(field.field_type.upper(), _Kind.TYPE_STRING)
        label = _Kind.LABEL_REPEATED if field.mode == "REPEATED" else _Kind.LABEL_OPTIONAL
        made = described.field.add(name=field.name, number=number, type=kind, label=label)
        if kind == _Kind.TYPE_MESSAGE:
            made.type_name = f"Of_{field.name}"
            described.nested_type.append(row_type(made.type_name, field.fields))
    return described


def class_of(described: descriptor_pb2.DescriptorProto) -> Any:
    """A message class in a separate pool: another table may have a type of the same name."""
    pool = descriptor_pool.DescriptorPool()
    file = descriptor_pb2.FileDescriptorProto(name="row.proto", syntax="proto2", message_type=[described])
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(ROOT))
