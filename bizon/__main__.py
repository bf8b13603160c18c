"""The ``bizon`` command, also as ``python -m bizon``."""

import gc
import os


def main() -> None:
    """Entry point of the command.

    Imported objects live as long as the process. So the cycle collector is off until a run turns it on
    (``common/interpreter.py``), and skips them when the process ends.
    """
    gc.disable()
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # plugins would see every secret of a configuration
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
    finally:
        gc.freeze()


if __name__ == "__main__":
    main()
elif __name__ == "__mp_main__":  # a spawned child of the process runner, before it imports its half
    gc.disable()
