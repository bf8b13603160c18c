"""``python -m bizon``."""

from bizon.cli.main import cli

if __name__ == "__main__":  # spawned children of the process runner import this module too
    cli(prog_name="bizon")
