"""Secrets: plain text for a connector, masked wherever a config is shown, and known to all code that writes output.

A run also receives secrets: an access token, a session cookie. Each process has one registry, which every
:class:`bizon.common.scrub.Scrubber` reads:

- ``learn(value)`` keeps a value for the rest of the process, up to the newest 256. Sources and authenticators call it
  before they use a secret they received. The children of the process runner forward it to the process that prints.
- ``registry.known_while(values)`` keeps values while a configuration is read or a run lasts.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, PlainSerializer, WithJsonSchema

MASK = "**********"

_MIN_SECRET = 4  # characters; masking shorter texts would hide ordinary words, and they protect nothing
_MOST_LEARNED = 256  # values; a token per hour for ten days


class Secret(str):
    """A string whose ``repr`` and JSON form are masked.

    It is a ``str``, so a connector can use it as the guides show: ``f"Bearer {params.token}"``. ``get_secret_value``
    serves code that expects pydantic's ``SecretStr``. A text that a connector builds from it is not masked; the log
    sinks scrub it.
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
"""Type of a config field that holds a secret: takes a plain string, and returns a :class:`Secret`."""


def iter_secrets(value: Any) -> Iterator[str]:
    """Every non-empty secret inside a model, dict, list or tuple, depth first."""
    return (text.get_secret_value() for _, text in placed_texts(value) if isinstance(text, Secret))


def placed_texts(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Every non-empty text inside a model, dict, list or tuple with its place: keys and positions, with dots between
    them."""
    if isinstance(value, str) and value:
        yield place, value
    for key, item in _parts(value):
        yield from placed_texts(item, f"{place}.{key}" if place else str(key))


def _parts(value: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        return ((fields[name].alias or name if name in fields else name, item) for name, item in value)
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, list | tuple | set) else ()


class SecretRegistry:
    """The secrets that one process knows. Thread-safe. ``version`` changes with ``values``."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._learned: dict[str, None] = {}  # the newest last
        self._given: Counter[str] = Counter()
        self._listeners: list[Callable[[str], None]] = []
        self.version = 0

    def values(self) -> frozenset[str]:
        """All secrets known now."""
        with self._lock:
            return frozenset((*self._learned, *self._given))

    def learned(self) -> frozenset[str]:
        """The values passed to ``learn``, in this process or in a child of its runs."""
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
        """Within: these values are masked too. Blocks may be nested, also with the same values."""
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
    def announced_to(self, listener: Callable[[str], None]) -> Iterator[None]:
        """Within: ``listener`` gets each learned value before it is used, on the thread that learns it."""
        with self._lock:
            self._listeners.append(listener)
        try:
            yield
        finally:
            with self._lock:
                self._listeners.remove(listener)

    def forget(self) -> None:
        """Forget all learned values; for tests."""
        with self._lock:
            self._learned.clear()
            self.version += 1


registry = SecretRegistry()
"""The registry of this process."""


def is_maskable(value: str) -> bool:
    """Whether a secret is long enough to be masked in texts: 4 characters."""
    return len(value) >= _MIN_SECRET


def learn(value: str) -> str:
    """From now on, mask ``value`` in everything the run writes: logs, errors, result file, state. Returns it unchanged.

    Sources and authenticators call it, on any thread, as soon as they receive a secret that is not in the
    configuration: ``token = learn(answer["access_token"])``. Values of fewer than 4 characters are ignored.
    """
    registry.learn(value)
    return value
