"""The import rules of docs/architecture.md, checked on the source text. Nothing is imported."""

import ast
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

FLOORS = (  # the first line with a fitting pattern wins; `*` crosses folders
    (0, "*__init__.py"),
    (1, "*/config.py */column_config.py"),
    (1, "connectors/sources/rest/src/*_config.py"),
    *((1, f"connectors/sources/rest/src/{name}.py") for name in ("consistency", "presets", "selector", "template")),
    (1, "destination/column_types.py destination/column_names.py destination/typed_config.py"),
    (1, "destination/type_names.py"),
    (6, "cli/* __main__.py"),
    (5, "engine/engine.py engine/unfit.py engine/records.py engine/looking.py engine/runner/* testing/*"),
    (5, "scaffold/*"),
    (4, "connectors/*/src/*.py engine/queue/adapters/* engine/backend/adapters/* monitoring/*/*"),
    (3, "engine/pipeline/producer.py engine/pipeline/consumer.py engine/pipeline/loader.py engine/queue/codec.py"),
    (3, "engine/queue/spool.py engine/queue/chunks.py engine/queue/deliveries.py engine/queue/ipc.py"),
    (3, "engine/pipeline/in_order.py engine/pipeline/watermark.py"),
    (3, "engine/pipeline/partition_order.py engine/pipeline/marks.py"),
    (3, "engine/pipeline/failures.py engine/pipeline/fetcher.py engine/queue/flatbuffer.py"),
    (3, "destination/buffer.py transform/transform.py source/cursor*.py source/discover*.py destination/discover.py"),
    (2, "source/source.py source/callback.py source/session.py source/auth/builder.py destination/destination.py"),
    (2, "destination/staged.py destination/receipts.py destination/sql_*.py destination/part_*.py destination/http.py"),
    (2, "destination/columns.py destination/evidence.py destination/fitting.py"),
    (2, "destination/leaves.py destination/moments.py destination/rescued.py"),
    (2, "destination/shaped.py destination/shaped_values.py destination/declared.py destination/unnest*.py"),
    (2, "destination/table_schema.py destination/typed*.py destination/commits.py destination/system_columns.py"),
    (2, "destination/merging.py destination/merge_*.py destination/tombstones.py destination/rescue_tally.py"),
    (2, "destination/fence.py destination/readable.py destination/column_receipts.py"),
    (2, "source/body.py source/answers.py source/retries.py source/redirects.py source/failures.py source/pages.py"),
    (2, "source/ahead.py source/pace.py source/sent_json.py source/member.py"),
    (2, "engine/queue/queue.py engine/backend/backend.py monitoring/monitor.py destination/dead_letters.py"),
    (2, "engine/backend/partition_plans.py"),
    (1, "config/*.py common/models.py common/sync.py source/auth/authenticators/*.py"),
    (0, "rows/*.py common/*.py google/*.py discovery/*.py"),
    (0, "source/model_like.py source/models.py destination/models.py"),
    (0, "engine/pipeline/models.py engine/queue/models.py engine/backend/models.py"),
    (0, "engine/pipeline/run.py engine/patience.py engine/partitions.py"),
    (0, "transform/snippet.py"),
)
DOORS = (  # files, and whose functions in them may import; "" = everybody's
    ("engine/engine.py", "RunnerFactory"),
    ("engine/queue/queue.py", "QueueFactory"),
    ("engine/backend/backend.py", "BackendFactory"),
    ("destination/destination.py", "DestinationFactory"),
    ("destination/dead_letters.py", "dead_letter_destination"),
    ("monitoring/monitor.py", "MonitorFactory"),
    ("__init__.py", "__getattr__"),
    ("source/discover.py", ""),
    ("discovery/files.py", "_executed"),
    ("discovery/plugins.py", "_announced"),
    ("config/selected.py", "_imported"),
    ("config/references.py", "_variables_in"),
    ("config/loading.py", "_of_separate"),
    ("connectors/sources/kafka/src/source.py", "_open"),
    ("connectors/sources/sql/src/databases.py", "_flavour"),
    ("connectors/sources/sql/src/source.py", "_open"),
    ("connectors/sources/files/src/places.py", "storage_of"),
    ("connectors/sources/files/src/compression.py", "_zstd_decompressor"),
    ("connectors/destinations/file/src/file_rows.py", "typed_shape"),
    ("connectors/destinations/file/src/file_rows.py", "declared"),
    ("connectors/destinations/file/src/file_rows.py", "reading"),
    ("engine/backend/adapters/sqlalchemy/engines.py", "_bigquery"),
    ("engine/backend/adapters/sqlalchemy/engines.py", "_postgres"),
    ("cli/*", ""),
    ("__main__.py", "main"),
)
OPEN_TO_GUESTS = (
    "source/* destination/* config/strict.py config/streams.py rows/frames.py rows/exact_json.py rows/kept_json.py "
    "rows/json_text.py rows/thrift.py "
    "common/models.py common/sync.py common/secret.py common/secret_shapes.py common/secret_forms.py "
    "common/clock.py common/errors/errors.py common/private_files.py google/*.py common/processes.py "
    "common/waiting.py common/bounded_calls.py common/safe_log.py engine/backend/backend.py "
    "monitoring/monitor.py discovery/files.py"
)
LIGHT = {"pydantic", "pydantic_core", *sys.stdlib_module_names}
LIGHT_TOO = (
    ("source/auth/*", "requests"),
    ("config/loading.py config/document.py config/messages.py", "yaml"),
    ("config/loading.py config/references.py", "dotenv"),
    ("config/selected.py", "import_module()"),
    ("connectors/sources/rest/src/selector.py", "jmespath"),
    ("connectors/sources/rest/src/presets.py", "yaml"),
)
HEAVY = {"polars", "sqlalchemy", "google", "confluent_kafka", "pika", "pyarrow"}
FAMILY, FAMILY_HOME = "connectors/destinations/bigquery*", "connectors/destinations/bigquery/src/*"


class Import(NamedTuple):
    """One imported module. Files are relative to the package."""

    file: str
    line: int
    name: str
    target: str | None  # the imported file; None for another package
    typing_only: bool
    function: str | None  # class and function it stands in; None at module level

    @property
    def at_run_time(self) -> bool:
        return self.function is None and not self.typing_only


def fits(path: str, patterns: str) -> bool:
    return any(fnmatch(path, pattern) for pattern in patterns.split())


def floor_of(path: str) -> int | None:
    return next((floor for floor, patterns in FLOORS if fits(path, patterns)), None)


def room_of(path: str) -> str | None:
    """The connector or adapter that a file is part of."""
    depth = 3 if fits(path, "connectors/*") else 2 if fits(path, "monitoring/*") else 0
    depth = 4 if fits(path, "engine/queue/adapters/* engine/backend/adapters/*") else depth
    parts = path.split("/")
    return "/".join(parts[:depth]) if 0 < depth < len(parts) else None


def violations(package: Path) -> list[str]:
    """Every breach in a package, one line each."""
    files = {file.relative_to(package).as_posix(): file for file in sorted(package.rglob("*.py"))}
    imports = [item for file in files.values() for item in imports_of(package, file)]
    graph: dict[str, set[str]] = {}
    for item in imports:
        if item.target and item.at_run_time and item.target != item.file:
            graph.setdefault(item.file, set()).add(item.target)
    found = [
        f"{path} has no floor: give it a line in FLOORS of floor_rules.py" for path in files if floor_of(path) is None
    ]
    for item in imports:
        where = f"{item.file}:{item.line} (floor {floor_of(item.file)}) imports {item.target or item.name}"
        where += f" (floor {floor_of(item.target)})" if item.target else ""
        found += [f"{where}: {why}" for why in breaches(item)]
    found += cycles(graph)
    found += heavy_chains([path for path in files if floor_of(path) == 1], imports, graph)
    for path, file in files.items():
        if path.endswith("/__init__.py") and file.read_text(encoding="utf-8").strip():
            found.append(f"{path} (floor 0) is not empty: rule 6")
    return found


def breaches(item: Import) -> Iterator[str]:
    """Every rule that a single import breaks."""
    floor, target_floor = floor_of(item.file), floor_of(item.target) if item.target else None
    here, there = room_of(item.file), room_of(item.target) if item.target else None
    if floor is None:
        return
    if item.at_run_time and target_floor is not None and target_floor > floor:
        yield "upwards: rule 1"
    if here and there and here != there and not (fits(here, FAMILY) and fits(item.target or "", FAMILY_HOME)):
        yield f"sideways, from {here} into {there}: rule 2"
    if item.function is not None and not any(
        fits(item.file, files) and (not owner or owner in item.function.split(".")) for files, owner in DOORS
    ):
        yield f"inside {item.function or 'the module, as a call'}, which is not a named door: rule 3"
    if item.target and fits(item.file, "engine/*") and fits(item.target, "connectors/*"):
        yield "the engine knows no connector: rule 4"
    if item.target and fits(item.file, "connectors/*") and not there and not fits(item.target, OPEN_TO_GUESTS):
        yield "connectors are guests and have no business there: rule 4"
    if floor == 1 and not item.target and not item.typing_only:
        allowed = LIGHT.union(name for files, name in LIGHT_TOO if fits(item.file, files))
        if item.name.split(".")[0] not in allowed:
            yield "configuration takes only the standard library and pydantic: rule 5"


def cycles(graph: dict[str, set[str]]) -> Iterator[str]:
    """One import cycle at run time, when there is any."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        # in the sorter's list, each file is imported by the next one
        chain = " -> ".join(f"{path} (floor {floor_of(path)})" for path in reversed(error.args[1]))
        yield f"import cycle {chain}: rule 1"


def heavy_chains(light: list[str], imports: list[Import], graph: dict[str, set[str]]) -> Iterator[str]:
    """Configuration files that load something heavy by way of others."""
    loads: dict[str, set[str]] = {}
    for item in imports:
        if item.at_run_time and item.name.split(".")[0] in HEAVY:
            loads.setdefault(item.file, set()).add(item.name.split(".")[0])
    for start in light:
        ways = {start: [start]}
        for file in (queue := [start]):
            for name in sorted(loads.get(file, ()) if file != start else ()):
                chain = " -> ".join(f"{path} (floor {floor_of(path)})" for path in ways[file])
                yield f"{chain} loads {name}: rule 5"
            for target in sorted(graph.get(file, ())):
                if target not in ways:
                    ways[target] = [*ways[file], target]
                    queue.append(target)


def imports_of(package: Path, file: Path) -> Iterator[Import]:
    """Every import of a file, also as a call of ``import_module`` or ``__import__``, whose target is not known."""
    path = file.relative_to(package).as_posix()

    def find(name: str) -> str | None:
        root, *parts = name.split(".")
        below = package.joinpath(*parts)
        candidates = [below / "__init__.py", *([below.with_suffix(".py")] if parts else [])]
        return next(
            (c.relative_to(package).as_posix() for c in candidates if root == package.name and c.is_file()), None
        )

    def names(node: ast.AST) -> list[str]:
        if isinstance(node, ast.Import):
            return [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            folder = [package.name, *path.split("/")[:-1]]
            base = ".".join([*folder[: len(folder) + 1 - node.level], *filter(None, [node.module])])
            base = base if node.level else node.module or ""
            return [full if find(full := f"{base}.{alias.name}") else base for alias in node.names]
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            return [f"{ast.unparse(node.func)}()"]
        return []

    def visit(nodes: list[ast.AST], scope: tuple[str, ...], function: bool, typing_only: bool) -> Iterator[Import]:
        for node in nodes:
            for name in dict.fromkeys(names(node)):
                inside = ".".join(scope) if function or isinstance(node, ast.Call) else None
                yield Import(path, getattr(node, "lineno", 0), name, find(name), typing_only, inside)
            children = list(ast.iter_child_nodes(node))
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield from visit(
                    children, (*scope, node.name), function or not isinstance(node, ast.ClassDef), typing_only
                )
            elif isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
                yield from visit(list(node.body), scope, function, True)
                yield from visit(list(node.orelse), scope, function, typing_only)
            else:
                yield from visit(children, scope, function, typing_only)

    yield from visit([ast.parse(file.read_text(encoding="utf-8"))], (), False, False)
