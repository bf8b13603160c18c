"""Secrets: usable as text by a connector, masked wherever a config is shown, and known to whatever writes output.

A run learns secrets too: an access token, a session cookie. There is one registry per process,
which every :class:`bizon.common.scrub.Scrubber` asks:

- ``learn(value)`` keeps a value for the rest of the process, the newest 256 of them. Sources and authenticators call it
  before they use what they received. The children of the process runner pass it on to the process that prints.
- ``registry.known_while(values)`` keeps values for as long as a configuration is read or a run lasts.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, PlainSerializer, WithJsonSchema

MASK = "**********"

_MIN_SECRET = 4  # characters; a shorter secret would blot out ordinary words and protects nothing
_MOST_LEARNED = 256  # values; a token per hour for ten days


class Secret(str):
    """A string whose ``repr`` and JSON form are masked.

    It stays a ``str`` so that a connector written as the guides show (``f"Bearer {params.token}"``) works unchanged;
    ``get_secret_value`` is there for code that expects pydantic's ``SecretStr``. What it cannot do is to mask a text
    a connector builds from it: the log sinks scrub for that.
    """

    __slots__ = ()

    def get_secret_value(self) -> str:
        """The value as a plain string."""
        return str.__str__(self)

    def __repr__(self) -> str:
        return repr(MASK if self else "")


SecretText = Annotated[
    str,
    AfterValidator(Secret),
    PlainSerializer(lambda value: MASK if value else "", return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "password", "writeOnly": True}),
]
"""Type of a config field that holds a secret: give it a plain string, read back a :class:`Secret`."""


def iter_secrets(value: Any) -> Iterator[str]:
    """Every non-empty secret inside a model, dict, list or tuple, depth first."""
    if isinstance(value, Secret):
        if value:
            yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for _, item in value:
            yield from iter_secrets(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from iter_secrets(item)
    elif isinstance(value, list | tuple | set):
        for item in value:
            yield from iter_secrets(item)


class SecretRegistry:
    """The secrets that one process knows. Thread safe. ``version`` changes whenever ``values`` does."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._learned: dict[str, None] = {}  # the newest last
        self._given: Counter[str] = Counter()
        self._listeners: list[Callable[[str], None]] = []
        self.version = 0

    def values(self) -> frozenset[str]:
        """All that is known now."""
        with self._lock:
            return frozenset((*self._learned, *self._given))

    def learned(self) -> frozenset[str]:
        """What ``learn`` was called with, in this process or in a child of its runs."""
        with self._lock:
            return frozenset(self._learned)

    def learn(self, value: str) -> None:
        """See :func:`learn`."""
        if not is_maskable(value):
            return
        value = str.__str__(value)
        with self._lock:
            is_new = value not in self._learned
            self._learned.pop(value, None)
            self._learned[value] = None
            if is_new:
                while len(self._learned) > _MOST_LEARNED:
                    del self._learned[next(iter(self._learned))]
                self.version += 1
            listeners = tuple(self._listeners) if is_new else ()
        for tell in listeners:
            tell(value)

    @contextmanager
    def known_while(self, values: Iterable[str]) -> Iterator[None]:
        """Within: these values are masked too. May be nested, also with the same values."""
        given = [str.__str__(value) for value in values if is_maskable(value)]
        with self._lock:
            self._given.update(given)
            self.version += 1
        try:
            yield
        finally:
            with self._lock:
                self._given.subtract(given)
                self._given = +self._given
                self.version += 1

    @contextmanager
    def told_to(self, listener: Callable[[str], None]) -> Iterator[None]:
        """Within: ``listener`` gets each value that is learned, on the thread that learns it, before it is used."""
        with self._lock:
            self._listeners.append(listener)
        try:
            yield
        finally:
            with self._lock:
                self._listeners.remove(listener)

    def forget(self) -> None:
        """Forget what was learned; for tests."""
        with self._lock:
            self._learned.clear()
            self.version += 1


registry = SecretRegistry()
"""The registry of this process."""


def is_maskable(value: str) -> bool:
    """Whether a secret is long enough to be looked for in texts: 4 characters."""
    return len(value) >= _MIN_SECRET


def learn(value: str) -> str:
    """Mask ``value`` in all that this run writes from now on: logs, errors, result file, state. Returns it unchanged.

    For sources and authenticators, on any thread, as soon as they receive a secret that the configuration does not
    hold: ``token = learn(answer["access_token"])``. Values of fewer than 4 characters are ignored.
    """
    registry.learn(value)
    return value
