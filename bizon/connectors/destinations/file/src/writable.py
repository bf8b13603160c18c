"""Whether an output can be written, before anything is fetched."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from bizon.common.errors.errors import DestinationConnectionError

if TYPE_CHECKING:
    from pathlib import Path

    from bizon.connectors.destinations.file.src.output import Output


@contextmanager
def writable(output: "Output", *, wants_folder: bool, only_looks: bool) -> Iterator[None]:
    """Within: other checks of the output. Raises DestinationConnectionError when the folder cannot be written, or when
    the path belongs to another pipeline or is not what is wanted. ``only_looks``: create nothing."""
    main = output.main
    wanted = "a folder (sync mode stream writes Parquet and CSV as a folder of files)" if wants_folder else "a file"
    try:
        if main.exists() and not (main.is_dir() if wants_folder else main.is_file()):
            raise DestinationConnectionError(f"'{main}' exists and is not {wanted}: use another destination_id")
        yield
        output.check_owner()
        if not only_looks:
            output.make_folders()
        with TemporaryFile(dir=next(folder for folder in (output.folder, *main.parents) if folder.exists())):
            return
    except (OSError, ValueError) as error:
        raise DestinationConnectionError(f"'{main}' cannot be written: {_file_above(main) or error}") from error


def _file_above(path: "Path") -> str | None:
    """How to deal with a file where a folder is needed; None when there is none."""
    file = next((parent for parent in path.parents if os.path.isfile(parent)), None)  # False where it may not look
    if file is None:
        return None
    return f"'{file}' is a file, not a folder; remove it, or choose another destination_id"
