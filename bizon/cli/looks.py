"""The commands that look at a pipeline: its configuration is loaded, its secrets are masked, and nothing is written."""

from typing import TYPE_CHECKING

from bizon.cli.files import in_folder_of_paths, loaded_from
from bizon.cli.output import report_error, say
from bizon.cli.text.console_logs import console_logs
from bizon.common.errors.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bizon.cli.run_options import RunOptions
    from bizon.common.scrub import Scrubber
    from bizon.config.loading import LoadedConfig

_LEVEL = "WARNING"


def look(
    config: str,
    options: "RunOptions",
    stream: str | None,
    parts: "Callable[[LoadedConfig, Scrubber], Sequence[str]]",
) -> ExitCode:
    """Print the parts of an answer, a blank line between them, or the error that ``parts`` raises. ``stream``: another
    stream of the source. Raises ConfigError."""
    with in_folder_of_paths(config, options.custom_source, options.env_file) as (path, (custom_source, env_file)):
        loaded = loaded_from(path, custom_source, env_file, stream=stream)
        scrub = loaded.scrubber()
        try:
            with console_logs(_LEVEL, scrub):
                text = "\n\n".join(parts(loaded, scrub))
        except Exception as error:  # noqa: BLE001 - shown here, where the secrets of the configuration are known
            return report_error(error, scrub)
    say(text)
    return ExitCode.OK
