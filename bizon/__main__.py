"""The ``bizon`` command, also as ``python -m bizon``."""

import gc


def main() -> None:
    """Entry point of the command. What is imported is no garbage, so the cycle collector is off until a run turns it on
    again (``common/collector.py``)."""
    gc.disable()
    from bizon.cli.main import cli

    cli(prog_name="bizon")


if __name__ == "__main__":  # spawned children of the process runner import this module too
    main()
