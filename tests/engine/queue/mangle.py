"""Damaged messages with a right checksum. As a command: decode many, in a process whose end tells whether it survived.

python mangle.py SEED COUNT       prints how many were refused, and how many could be read
"""

import io
import random
import struct
import sys
import zlib
from datetime import UTC, datetime

from bizon.common.errors.errors import QueueError
from bizon.engine.queue.codec import MAGIC, VERSION, decode, encode
from bizon.engine.queue.models import QueueMessage
from bizon.rows.frames import records_to_frame
from bizon.rows.rejects import records_and_rejects_to_frame
from bizon.source.models import SourceRecord

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PREFIX = struct.calcsize(">2sBI")
_NUMBERS = (0, 1, -1, 7, 8, -8, 16, 2**31 - 1, 2**31, -(2**31), 2**32, 2**33, 2**36, 2**62, 2**63 - 1, -(2**63))


def message(rows: int, *, compressed: bool) -> bytes:
    """A page as it is sent."""
    records = [SourceRecord(id=f"number {n:09}", data={"é": "x" * (n % 50)}) for n in range(rows)]
    return encode(QueueMessage("job", 1, 3, records_to_frame(records, NOW), NOW, {"p": 4}), compressed=compressed)


def with_checksum(rest: bytes) -> bytes:
    """A message from what follows the checksum, which is made to fit."""
    return struct.pack(">2sBI", MAGIC, VERSION, zlib.crc32(rest)) + rest


def zones(rest: bytes) -> dict[str, range]:
    """Where the parts of a message lie, in what follows its checksum."""
    header_ends = 4 + struct.unpack_from(">I", rest)[0]
    batch = header_ends + 8 + struct.unpack_from("<I", rest, header_ends + 4)[0]
    body = batch + 8 + struct.unpack_from("<I", rest, batch + 4)[0]
    return {
        "header": range(header_ends),
        "schema": range(header_ends, batch),
        "batch": range(batch, body),
        "body": range(body, len(rest)),
    }


def mangled(chance: random.Random, payload: bytes) -> bytes:
    """The message with a few damages, most of them where sizes are."""
    rest = bytearray(payload[PREFIX:])
    parts = list(zones(bytes(rest)).values())
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        zone = chance.choices(parts, weights=(1, 1, 4, 2))[0]
        at = min(chance.choice(zone or range(1)), len(rest) - 1)
        how, aligned = chance.randrange(6), at - (at - parts[2].start) % 8
        if how == 0:
            rest[at] ^= 1 << chance.randrange(8)
        elif how == 1:
            rest[at] = chance.randrange(256)
        elif how in (2, 3) and 0 <= aligned <= len(rest) - 8:
            struct.pack_into("<q", rest, aligned, chance.choice(_NUMBERS))
        elif how == 4:
            del rest[at : at + chance.randrange(1, 40)]
        else:
            rest[at:at] = chance.randbytes(chance.randrange(1, 40))
    return with_checksum(bytes(rest))


def _use(payload: bytes) -> None:
    """What is not refused has to be of use: nothing that is done with a page later may fail."""
    frame = decode(payload).frame
    frame.write_ndjson(io.BytesIO())
    frame.write_parquet(io.BytesIO())
    frame.rows()


def main(seed: int, count: int) -> None:
    chance = random.Random(seed)
    rejects = [SourceRecord(id=1, data={}), SourceRecord(id=2, data={"a": object()})]
    refused = QueueMessage("job", 1, 3, records_and_rejects_to_frame(rejects, NOW), NOW)
    kinds = [message(rows, compressed=how) for rows in (0, 1, 7, 200) for how in (True, False)]
    kinds += [encode(refused, compressed=how) for how in (True, False)]
    read = 0
    for _ in range(count):
        payload = mangled(chance, chance.choice(kinds))
        try:
            _use(payload)
            read += 1
        except QueueError:
            pass
    sys.stdout.write(f"{count - read} {read}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
