"""The ``bizon`` command, also as ``python -m bizon``."""

import atexit
import gc
import os
import sys

_POLARS_MEMORY = "dirty_decay_ms:100,muzzy_decay_ms:0"
"""When the allocator of Polars returns memory to the system: after 0.1 s. By default that takes up to 1.5 s, and the
peak of a run is an eighth higher. Polars reads it when it is imported. A variable that the user has set wins."""


class _Exit:
    """Ends the process with the command's exit code, once the functions registered with ``atexit`` have run. The
    interpreter would then remove a hundred thousand imported objects one by one."""

    code: int | None = None  # None: the command ended in another way, and the interpreter ends as usual

    def at_once(self) -> None:
        if self.code is None:
            return
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except (OSError, ValueError, AttributeError):  # closed, full, or absent: the interpreter's exit code tells
            return
        os._exit(self.code)


def main() -> None:
    """Entry point of the command.

    Imported objects live as long as the process. So the cycle collector is off until a run turns it on
    (``common/interpreter.py``).
    """
    ending = _Exit()
    atexit.register(ending.at_once)  # registered first, so it is called last
    gc.disable()
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # plugins would see every secret of a configuration
    os.environ.setdefault("_RJEM_MALLOC_CONF", _POLARS_MEMORY)
    from bizon.cli.signals import leave_when_asked

    leave_when_asked()
    from bizon.cli.output import file_names_in_utf8, give_up, steady_streams

    file_names_in_utf8()
    steady_streams()
    from bizon.cli.main import cli

    try:
        cli(prog_name="bizon")
    except OSError as error:  # from help texts, the only output outside a command
        give_up(error)
        raise SystemExit(1) from None
    except SystemExit as leaving:
        ending.code = leaving.code if isinstance(leaving.code, int) else None
        raise


if __name__ == "__main__":
    main()
elif __name__ == "__mp_main__":  # a spawned child of the process runner, before it imports its role's modules
    gc.disable()
