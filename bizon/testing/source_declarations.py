"""Behaviours of a source before its first page: its declarations and its total; and a stream without records."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bizon.common.errors.errors import BizonError
from bizon.config.document import load_yaml
from bizon.config.loading import build_config
from bizon.engine.engine import source_config_class
from bizon.source.discover import SOURCES_PACKAGE, streams_of, supports_incremental
from bizon.source.discover_ast import inspect_source
from bizon.testing.source_emptied import emptied_page
from bizon.testing.source_rules import a_folder, folder_of, needs
from bizon.testing.source_subject import NotApplicable, Subject, broken, ids_of, shown

if TYPE_CHECKING:
    pass


class DeclarationBehaviours:
    """Part of ``SourceBehaviours``."""

    @needs(a_folder)
    def test_streams_are_the_same_in_the_syntax_tree_and_at_run_time(self, subject: Subject) -> None:
        source_class = subject.source_class
        folder = folder_of(source_class) or Path()
        infos = [each for each in inspect_source(folder, SOURCES_PACKAGE) if each.class_name == source_class.__name__]
        if not infos:
            broken(f"{folder} has no class {source_class.__name__} in its syntax tree", "define it in src/source.py")
        declared, offered = infos[0].streams, streams_of(source_class)
        if declared is None or sorted(declared) != sorted(offered):
            broken(
                f"`bizon source list` reads the streams {declared}, and streams() returns {offered}",
                "return a literal list, or the values of an enum of the same folder",
            )
        if infos[0].supports_incremental != supports_incremental(source_class):
            broken("`bizon stream list` is wrong about incremental", "define get_records_after in the class itself")

    def test_the_example_configuration_validates(self, subject: Subject) -> None:
        folder = folder_of(subject.source_class)
        examples = list(subject.examples) or ([] if folder is None else sorted(folder.glob("config/*.example.yml")))
        if not examples:
            if folder is None:
                raise NotApplicable("the source is a custom file, and has no folder with an example")
            broken(f"{folder / 'config'} has no NAME.example.yml", "write a pipeline that shows the source")
        for example in examples:
            try:
                document = load_yaml(example)
                build_config(document, environ=_AnyVariable(), overrides={}, resolve_source=source_config_class)
            except BizonError as error:
                broken(f"the example is not valid: {error}", "correct the example, or the config class")

    def test_the_total_is_true_or_none(self, subject: Subject) -> None:
        with subject.opened() as source:
            total = source.get_total_records_count()
        if total is None:
            return
        subject.needs_the_end()
        if total != len(subject.ids()):
            broken(
                f"get_total_records_count() is {total!r}, and the stream has {len(subject.ids())} records",
                "return the number of records of this stream, or None",
            )

    def test_an_empty_stream_works(self, subject: Subject) -> None:
        if subject.empty is None:
            subject.needs_the_end()
            found = emptied_page(subject)
        else:
            with subject.opened(subject.empty) as source:
                found = tuple(ids_of(subject.read(source)))
        if found:
            broken(f"a stream without records has {shown(found)}", "return records=[] and next_pagination={}")


class _AnyVariable(dict[str, str]):
    """An environment in which every variable is set."""

    def get(self, name: str, default: Any = None) -> Any:
        return default or f"the value of {name}"
