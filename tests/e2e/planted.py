"""Planted secrets: random texts, the ways in which programs write them, and a search for them and for parts of them."""

import html
import json
import random
import re
import string
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import commands

if TYPE_CHECKING:
    from e2e.conftest import Pipeline

SPECIAL = "/+=%&?#@:;,~!*'()[]{}<>|^`\"\\ $é"
IN_HEADERS = "/+=%&?#@:,~!*'()[]{}<>|^`$"  # what a header may hold on its own
IN_COOKIES = "/+=%&?#@:~!*'()[]{}<>|^`$"
COMMANDS = (
    ("status", "config.yml"),
    ("check", "config.yml"),
    ("check", "config.yml", "--json"),
    ("preview", "config.yml"),
    ("preview", "config.yml", "--json"),
    ("show", "config.yml"),
    ("stream", "list", "config.yml"),
    ("schema", "diff", "config.yml"),
    ("config", "validate", "config.yml"),
)
COMMANDS_OF_A_CASE = 2  # chosen at random: there are hundreds of cases
PART = 10  # characters of an encoded secret that no other text has by accident


def secret(seed: str, special: str = SPECIAL) -> str:
    """A random text with signs that URLs, JSON, HTML and base64 write in another way."""
    source = random.Random(seed)
    signs = source.choices(string.ascii_letters + string.digits, k=14) + source.sample(special, 6)
    source.shuffle(signs)
    return f"Z{''.join(signs)}z"


@cache
def encodings(text: str) -> dict[str, str]:
    """The text as programs write it, by the name of the encoding."""
    quoted = {f"url but {safe}": quote(text, safe=safe) for safe in ("", "/", "~*", "!'()*~", "*")}
    quoted |= {"form": quote_plus(text), "url twice": quote(quote(text, safe=""), safe="")}
    quoted |= {f"{name}, lower": _lowered(form) for name, form in quoted.items()}
    plain, in_ascii = json.dumps(text, ensure_ascii=False)[1:-1], json.dumps(text)[1:-1]
    in_json = {"JSON": plain, "ASCII JSON": in_ascii, "repr": repr(text)[1:-1]}
    for name, form in (("", plain), ("ASCII ", in_ascii)):
        in_json[f"{name}JSON of PHP"] = form.replace("/", r"\/")
        in_json[f"{name}JSON of Go"] = _as_units(form, "<>&")
        in_json[f"{name}JSON of Gson"] = _as_units(form, "<>&='")
    in_json["JSON, upper"] = re.sub(r"\\u[0-9a-f]{4}", lambda unit: r"\u" + unit[0][2:].upper(), in_ascii)
    in_json["JSON twice"] = json.dumps(plain, ensure_ascii=False)[1:-1]
    in_json["ASCII JSON twice"] = json.dumps(in_ascii)[1:-1]
    texts = {"plain": text, **quoted, **in_json}
    in_html = {f"{name} in HTML": html.escape(form) for name, form in texts.items()}
    in_html |= {f"{name} in a text of HTML": html.escape(form, quote=False) for name, form in texts.items()}
    return _each_once({**texts, **in_html, **dict(_binary(text.encode()))})


def _each_once(forms: dict[str, str]) -> dict[str, str]:
    return {name: form for form, name in {form: name for name, form in reversed(forms.items())}.items()}


def _lowered(text: str) -> str:
    return re.sub("%[0-9A-F]{2}", lambda escape: escape[0].lower(), text)


def _as_units(text: str, signs: str) -> str:
    return "".join(f"\\u{ord(sign):04x}" if sign in signs else sign for sign in text)


def _binary(data: bytes) -> Iterator[tuple[str, str]]:
    """Hex, and base64 after none, one or two bytes of a longer text."""
    yield "hex", data.hex()
    yield "upper hex", data.hex().upper()
    for before in range(3):
        first, end = -(-before * 8 // 6), (before + len(data)) * 8 // 6
        for name, encode in (("base64", b64encode), ("base64 of URLs", urlsafe_b64encode)):
            signs = encode(b"u" * before + data + b"v").decode()[first:end]
            yield f"{name} after {before}", signs
            yield f"{name} after {before}, quoted", quote(signs, safe="")


def parts_in(text: str, hidden: str) -> dict[str, str]:
    """The encodings of a secret of which a part is in a text, with what stands around it."""
    found = {}
    for name, form in encodings(hidden).items():
        size = min(PART, len(form))
        place = next(filter(lambda at: at >= 0, (text.find(each) for each in _windows(form, size))), None)
        if place is not None:
            found[name] = text[max(0, place - 150) : place + 150]
    return found


def _windows(form: str, size: int) -> list[str]:
    return [form[at : at + size] for at in range(len(form) - size + 1)]


def assert_nowhere(text: str, hidden: str) -> None:
    """No encoding of a secret is in a text, and no part of one."""
    found = parts_in(text, hidden)
    assert not found, f"{hidden}\n" + "\n".join(f"{name}: {around}" for name, around in found.items())


def repeated(hidden: str) -> str:
    """A secret in all encodings, in an order that depends on it: an error shows the first few."""
    forms = sorted(encodings(hidden).values())
    random.Random(hidden).shuffle(forms)
    return " ".join(forms)


def shown_by(pipeline: "Pipeline", *arguments: str) -> str:
    """Both outputs of a command about ``config.yml``."""
    _ = pipeline.command  # writes it
    command = [*commands.BIZON, *arguments]
    done = commands.run(command, cwd=pipeline.folder, capture_output=True, text=True, timeout=90)
    assert "Traceback" not in done.stderr or "DEBUG" in arguments, done.stderr
    return done.stdout + done.stderr


def files_of(folder: Path, *given: str) -> str:
    """The texts of all files that a pipeline has left: its state, its result, what it staged. ``given``: names of files
    that the test wrote."""
    left = (file for file in sorted(folder.rglob("*")) if file.is_file() and file.name.partition(".")[0] not in given)
    return "\n".join(file.read_bytes().decode("utf-8", "replace") for file in left)


def everything(pipeline: "Pipeline", runner: str, *given: str) -> str:
    """All that a failing run with the longest logs and some commands about its pipeline show, and the files that they
    leave."""
    run = pipeline.run("--runner", runner, "--log-level", "DEBUG", "--result-json", "result.json", expect=None)
    assert run.returncode not in (0, 2), run.stderr
    some = random.Random(run.stderr).sample(COMMANDS, COMMANDS_OF_A_CASE)
    texts = [shown_by(pipeline, *arguments) for arguments in (("status", "config.yml", "--json"), *some)]
    return "\n".join((run.stdout, run.stderr, *texts, files_of(pipeline.folder, "config", *given)))
