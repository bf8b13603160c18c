"""The same for several configurations."""

from collections.abc import Callable, Sequence

from bizon.cli.guard import report_error
from bizon.cli.paths import absolute_path, in_folder_of_paths
from bizon.common.errors.errors import ExitCode
from bizon.common.scrub import Scrubber

Look = Callable[[str, str | None, str | None], ExitCode]
"""Given the path of a configuration, ``--custom-source`` and ``--env-file``; may raise."""


def for_each(configs: Sequence[str], custom_source: str | None, env_file: str | None, look: Look) -> ExitCode:
    """Look at each configuration, in the folder that its paths are relative to. One that is wrong does not keep the
    others from being looked at. Answers the worst exit code: a mistake before a failure before success."""
    codes = []
    for config in configs:
        with in_folder_of_paths(config) as (path, is_elsewhere):
            options = (custom_source, env_file)
            if is_elsewhere:
                options = (absolute_path(custom_source), absolute_path(env_file))
            try:
                codes.append(look(path, *options))
            except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last line of defence before the user
                codes.append(report_error(error, Scrubber()))
                if isinstance(error, KeyboardInterrupt):
                    break
    return max(codes, default=ExitCode.OK)
