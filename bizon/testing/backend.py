"""What every backend must do, as tests that a backend's own tests claim in one line.

    class TestMyBackend(SharedBackendConformance):
        @pytest.fixture
        def open_backend(self, tmp_path):
            return partial(MyBackend, MyConfig(database=str(tmp_path / "state")), "mine")

``open_backend`` gives a callable without arguments that makes a new backend each time it is called. All backends it
makes during a test share one state, which is empty at the beginning of the test; the suite makes the tables. For
``SharedBackendConformance`` it has to survive ``pickle``, since other processes call it too: a ``partial`` of a class
that can be imported does. Whatever the state leaves behind is for the fixture to remove.

``BackendConformance`` is for a state that lives within one backend, in memory; ``SharedBackendConformance``, for all
others, has the same and what several backends, threads and processes do to one state.

Assertions say more when pytest is told, before the import: ``pytest.register_assert_rewrite("bizon.testing")``.
"""

from bizon.testing.backend_cursors import CursorBehaviours
from bizon.testing.backend_jobs import JobBehaviours
from bizon.testing.backend_leases import LeaseBehaviours
from bizon.testing.backend_sharing import SharingBehaviours
from bizon.testing.backend_tokens import SharedTokenBehaviours, TokenBehaviours


class BackendConformance(JobBehaviours, CursorBehaviours, LeaseBehaviours, TokenBehaviours):
    """Every behaviour that one backend shows by itself."""


class SharedBackendConformance(SharingBehaviours, SharedTokenBehaviours, BackendConformance):
    """Every behaviour; for a state that several processes may use at once."""
