"""The part of a destination's interface that says how many processes may write at once."""

from typing import ClassVar


class Shared:
    """Part of ``AbstractDestination``."""

    single_writer: ClassVar[bool] = True
    """Only one process at a time can stage. A class that takes parts (see ``ResumePoint``) says False."""

    takes_members: ClassVar[bool] = False
    """In sync mode ``stream``: True for a class that tells the rows of members apart (see ``ResumePoint``). Several
    commands may write then, unless it has a ``single_writer``."""

    def refuses_members(self) -> str | None:
        """Why several members of a stream (``bizon run --join`` in sync mode ``stream``) cannot write at once; None
        when they can. Asked before anything is opened. The reason ends a sentence that begins with the destination."""
        can = self.takes_members and not self.single_writer
        return None if can else "takes the rows of one process at a time"
