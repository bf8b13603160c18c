"""Messages that are larger than the broker accepts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bizon.common.errors.errors import QueueError
from bizon.engine.queue.chunks import Joiner, split


@given(payload=st.binary(max_size=5000), limit=st.integers(50, 6000))
def test_a_split_message_is_joined_unchanged(payload: bytes, limit: int) -> None:
    payload = b"BZ" + payload  # as all encoded messages begin
    pieces = split(payload, limit)
    assert all(len(piece) <= limit for piece in pieces)
    joiner = Joiner()
    assert [joiner.add(piece) for piece in pieces] == [None] * (len(pieces) - 1) + [payload]


def test_repeated_or_reordered_pieces_do_no_harm() -> None:
    first, second = bytes(range(200)), bytes(range(200, 0, -1))
    one, two = split(first, 80), split(second, 80)
    joiner = Joiner()
    found = [joiner.add(piece) for piece in (one[1], one[0], one[0], *one[2:], two[0], one[0], *two[1:])]
    assert [body for body in found if body is not None] == [first, second]


def test_messages_that_are_never_completed_are_given_up() -> None:
    joiner = Joiner()
    for number in range(50):
        assert joiner.add(split(bytes([number]) * 200, 150)[0]) is None
    assert len(joiner._incomplete) < 10


def test_pieces_that_do_not_agree_how_many_there_are_are_refused() -> None:
    """They once ended the consumer with a KeyError at every start."""
    pieces = split(b"x" * 300, 80)
    forged = bytearray(pieces[5])
    forged[23:27] = (2).to_bytes(4)  # the number of pieces
    forged[19:23] = (1).to_bytes(4)
    joiner = Joiner()
    assert joiner.add(pieces[5]) is None
    with pytest.raises(QueueError, match="it claims 2 pieces, others 6"):
        joiner.add(bytes(forged))
    assert [joiner.add(piece) for piece in pieces][-1] == b"x" * 300


def test_a_piece_of_another_format_is_refused() -> None:
    piece = bytearray(split(b"x" * 100, 60)[0])
    piece[2] += 1
    for body in (bytes(piece), b"BP"):
        with pytest.raises(QueueError):
            Joiner().add(body)
    with pytest.raises(QueueError, match="too small"):
        split(b"x" * 100, 20)
