"""Whether an Arrow batch is sound but for its texts: text that is no UTF-8 costs its row alone, while offsets that lead
out of their buffers are a damaged file, of which no row can be trusted, or even looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa


def check_but_texts(batch: pa.RecordBatch) -> None:
    """Raise ArrowInvalid where anything is wrong with a batch but that a text is not valid UTF-8."""
    batch.validate()  # whether all lies within the buffers, whose sizes the protocol below does not hand over
    pa.record_batch(_AsBytes(batch)).validate(full=True)


@dataclass(frozen=True, slots=True)
class _AsBytes:
    """A batch whose texts are taken for bytes, by Arrow's own protocol; nothing is copied or looked at."""

    batch: pa.RecordBatch

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        schema = pa.schema([field.with_type(_with_bytes(field.type)) for field in self.batch.schema])
        return schema.__arrow_c_schema__(), self.batch.__arrow_c_array__()[1]


def _with_bytes(kind: pa.DataType) -> pa.DataType:
    bytes_of = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary(), pa.string_view(): pa.binary_view()}
    if pa.types.is_dictionary(kind):
        return pa.dictionary(kind.index_type, _with_bytes(kind.value_type), kind.ordered)
    if pa.types.is_struct(kind):
        return pa.struct([kind.field(i).with_type(_with_bytes(kind.field(i).type)) for i in range(kind.num_fields)])
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_with_bytes(kind.value_type)))
    if pa.types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(_with_bytes(kind.value_type)))
    return bytes_of.get(kind, kind)
