"""Messages in flight to the broker, not confirmed yet. Pure bookkeeping: no I/O, no threads.

The broker accepts a published piece (it is safe) or refuses it (the queue is full). Pieces stay here until the broker
has accepted their whole message and everything before it.

- After a refusal, nothing is published until all pieces in flight are answered. A little later, everything from the
first refused piece on is published again: first one piece at a time, then more with each acceptance. - After the loss
of the channel, everything from the start of the first unconfirmed message on is published again. So the pieces of a
message stay together, and pages keep their order.
"""

from collections import deque
from itertools import takewhile

_WIDEST = 256  # pieces published at a time; beyond it the limit ends


class _Message:
    __slots__ = ("alone", "open")

    def __init__(self, pieces: int, alone: bool) -> None:
        self.open = pieces
        self.alone = alone


class _Piece:
    __slots__ = ("body", "confirmed", "message")

    def __init__(self, body: bytes, message: _Message) -> None:
        self.body = body
        self.message = message
        self.confirmed = False


class Outbox:
    """Bounded by ``window`` bytes; the message that passes the bound is still accepted."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._size = 0
        self._all: deque[_Piece] = deque()
        self._unsent: deque[_Piece] = deque()
        self._sent: dict[int, _Piece] = {}
        self._tag = 0
        self._refused = False
        self._at_a_time: int | None = None

    def __len__(self) -> int:
        return len(self._all)

    @property
    def has_room(self) -> bool:
        """False until earlier pages are confirmed."""
        return self._size < self._window

    @property
    def is_refused(self) -> bool:
        """True once a piece was refused and all others are answered: ``repeat`` follows a little later."""
        return self._refused and not self._sent

    def add(self, pieces: list[bytes], *, alone: bool) -> None:
        """Append a message. ``alone``: publish it only when everything before it is confirmed."""
        message = _Message(len(pieces), alone)
        for body in pieces:
            piece = _Piece(body, message)
            self._all.append(piece)
            self._unsent.append(piece)
            self._size += len(body)

    def next(self) -> bytes | None:
        """The piece to publish now, which counts as published; None when there is nothing to publish yet."""
        if self._refused or not self._unsent or (self._at_a_time is not None and len(self._sent) >= self._at_a_time):
            return None
        if self._unsent[0].message.alone and self._sent:
            return None
        piece = self._unsent.popleft()
        self._tag += 1
        self._sent[self._tag] = piece
        return piece.body

    def answered(self, tag: int, *, multiple: bool, accepted: bool) -> None:
        """The broker's answer to piece ``tag`` of this channel; ``multiple``: and to all before it."""
        tags = list(takewhile(lambda each: each <= tag, self._sent)) if multiple else [tag]  # tags rise
        for each in tags:
            piece = self._sent.pop(each, None)
            if piece is None:
                continue
            if accepted:
                piece.confirmed = True
                piece.message.open -= 1
            else:
                self._refused = True
        if accepted and not self._sent and not self._refused and self._at_a_time is not None:
            self._at_a_time = self._at_a_time * 2 if self._at_a_time < _WIDEST else None
        while self._all and self._all[0].message.open == 0:
            self._size -= len(self._all.popleft().body)

    def repeat(self) -> None:
        """Publish everything again from the first refused piece on."""
        self._refused = False
        self._at_a_time = 1
        kept = list(self._all)
        first = next(index for index, piece in enumerate(kept) if not piece.confirmed)
        self._publish_again(kept[first:])

    def lost(self) -> None:
        """The channel is lost: the next calls are for a new one, whose tags start at 1."""
        self._refused = False
        self._sent.clear()
        self._tag = 0
        self._publish_again(list(self._all))

    def _publish_again(self, pieces: list[_Piece]) -> None:
        for piece in pieces:
            if piece.confirmed:
                piece.confirmed = False
                piece.message.open += 1
        self._unsent = deque(pieces)
