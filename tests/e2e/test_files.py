"""The files source through the command: killed inside of a file, with broken lines, with more bytes than memory."""

import bz2
import gzip
import json
import lzma
import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

if TYPE_CHECKING:
    from conftest import Pipeline

KILLED = Path(__file__).with_name("killed_files.py")
ROWS = [{"id": f"{number}", "text": f'"{number}"\n, é' * (number % 5)} for number in range(2000)]
FORMATS = [
    *("big.jsonl", "big.jsonl.gz", "big.jsonl.bz2", "big.jsonl.xz", "big.json", "big.parquet"),
    *("big.csv", "big.csv.gz", "big.csv.bz2", "big.csv.xz", "two.jsonl.bz2", "two.jsonl.xz"),
]
PACKED = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


def write(path: Path) -> None:
    """The rows, in the format that the name says."""
    lines = [f"{json.dumps(row)}\n".encode() for row in ROWS]
    if path.name.startswith("two"):  # members of an archive, which end inside of a line
        text, pack = b"".join(lines), PACKED[path.suffix]
        path.write_bytes(pack(text[:70_001]) + pack(text[70_001:]))
    elif ".jsonl" in path.suffixes:
        path.write_bytes(PACKED.get(path.suffix, bytes)(b"".join(lines)))
    elif path.suffix == ".json":
        path.write_text(json.dumps(ROWS))
    elif path.suffix == ".parquet":
        pl.DataFrame(ROWS).write_parquet(path, row_group_size=300)
    else:
        text = pl.DataFrame(ROWS).write_csv().encode()
        path.write_bytes(PACKED[path.suffix](text) if path.suffix in PACKED else text)


def of_files(pipeline: "Pipeline", path: str, **keys: object) -> "Pipeline":
    """The pipeline with the files source, which writes each page before the next one is read."""
    pipeline.config["source"] = {"name": "files", "stream": "rows", "path": path, "piece_size": 2000, **keys}
    return pipeline.destination(buffer_size=0)


@pytest.mark.matrix(share=9)
@pytest.mark.parametrize("runner", ["stream", "thread", "process"])
@pytest.mark.parametrize("name", FORMATS)
def test_a_run_that_is_killed_inside_of_a_file_costs_one_piece(
    pipeline: "Pipeline", name: str, runner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(pipeline.folder / name)
    of_files(pipeline, name, id="id", source_file_path=str(KILLED))
    kills = [1, 6, 9]
    for kill in kills:
        monkeypatch.setenv("KILL_AT", str(kill))
        assert pipeline.run("--runner", runner, expect=None).returncode != 0
        assert not (pipeline.folder / "out.json").exists()
    monkeypatch.delenv("KILL_AT")
    pipeline.run("--runner", runner)
    assert [json.loads(line["source_data"]) for line in pipeline.lines()] == ROWS
    asked = [json.loads(line) for line in pipeline.trace()]
    assert sum("path" in each for each in asked) > 10, "most pieces are inside of the file"
    if runner == "stream":  # the others read ahead of what is written
        repeats = len(asked) - len({json.dumps(each) for each in asked})
        assert repeats == len(kills)


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_a_broken_line_becomes_a_dead_letter_with_its_place(pipeline: "Pipeline", name: str) -> None:
    good, broken = ('{"n":"1"}', '{"n":"2"') if name == "a.jsonl" else ("n,m\n1,1", "2")
    (pipeline.folder / name).write_text(f"{good}\n{broken}\n")
    line = 2 if name == "a.jsonl" else 3
    failed = of_files(pipeline, name).run(expect=1)
    assert f"{name}, line {line} is not a record" in failed.stderr
    assert not (pipeline.folder / "out.json").exists()
    pipeline.set("on_error", "dead_letter").run()
    assert len(pipeline.lines()) == 1
    (letter,) = pipeline.lines("out.dead_letters.json")
    assert letter["reason"].startswith(f"{name}, line {line} is not a record")
    assert json.loads(letter["source_data"]) == {"file": name, "line_number": line, "line": broken}


def test_incremental_runs_append_the_files_that_are_new(pipeline: "Pipeline") -> None:
    folder = pipeline.folder / "in"
    folder.mkdir()
    (folder / "b.jsonl").write_text('{"n":1}\n')
    of_files(pipeline, "in/*.jsonl", sync_mode="incremental").run()
    pipeline.run()
    (folder / "a.jsonl").write_text('{"n":2}\n')
    pipeline.run()
    pipeline.run()
    assert [json.loads(line["source_data"])["n"] for line in pipeline.lines()] == [1, 2]


@pytest.mark.matrix(share=10, pool="memory")
@pytest.mark.parametrize("name", ["big.csv", "big.jsonl.gz", "big.json", "big.parquet"])
def test_a_file_larger_than_the_memory_it_may_take(pipeline: "Pipeline", name: str) -> None:
    """300 MB of text; one piece and the queue are in memory, not the file."""
    path, count = pipeline.folder / name, 300_000
    texts = [random.Random(number).randbytes(500).hex() for number in range(100)]
    if name == "big.parquet":
        frame = pl.DataFrame({"n": range(count)}).with_columns(t=pl.concat_str(pl.col("n"), pl.lit(texts[0])))
        frame.write_parquet(path, row_group_size=20_000, compression="uncompressed")
    else:
        with gzip.open(path, "wb", compresslevel=1) if name.endswith("gz") else path.open("wb") as file:
            file.writelines(_text(name, number, texts[number % 100]).encode() for number in range(count))
            file.write(b"]" if name == "big.json" else b"")
    of_files(pipeline, name, piece_size=8_388_608).destination(buffer_size=20)
    code = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
    code += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    command = [sys.executable, "-c", code, *pipeline.command, "--log-level", "ERROR"]
    # Linux counts the memory of who starts a process towards its peak: this one is large, the one between is small
    done = subprocess.run(command, cwd=pipeline.folder, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    peak = int(done.stdout.splitlines()[-1])
    assert len((pipeline.folder / "out.json").read_bytes().splitlines()) == count
    assert peak < 400_000, "KB"


def _text(name: str, number: int, text: str) -> str:
    """One row of a large file, with what stands before it."""
    if name == "big.csv":
        return f"{number},{text}\n" if number else f"n,t\n{number},{text}\n"
    start = ("," if number else "[") if name == "big.json" else ""
    return f'{start}{{"n":{number},"t":"{text}"}}\n'
