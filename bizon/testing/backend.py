"""The behaviours of every backend, as tests that a backend's own tests claim in one line.

    class TestMyBackend(SharedBackendConformance):
        @pytest.fixture
        def open_backend(self, tmp_path):
            return partial(MyBackend, MyConfig(database=str(tmp_path / "state")), "mine")

``open_backend`` returns a callable without arguments that creates a new backend on each call. All its backends in a
test share one state, which is empty when the test begins; the suite creates the tables. For
``SharedBackendConformance`` the callable must survive ``pickle``, since other processes call it too: a ``partial`` of
an importable class does. The fixture removes everything that the state leaves.

``BackendConformance`` is for a state that lives in the memory of one backend. ``SharedBackendConformance`` is for all
others: it adds several backends, threads and processes on one state.

For detailed assertions, call ``pytest.register_assert_rewrite("bizon.testing")`` before the import.
"""

from bizon.testing.backend_cursors import CursorBehaviours
from bizon.testing.backend_jobs import JobBehaviours
from bizon.testing.backend_leases import LeaseBehaviours
from bizon.testing.backend_members import MemberBehaviours
from bizon.testing.backend_partitions import PartitionBehaviours
from bizon.testing.backend_sharing import SharingBehaviours
from bizon.testing.backend_tokens import SharedTokenBehaviours, TokenBehaviours


class BackendConformance(
    JobBehaviours, CursorBehaviours, PartitionBehaviours, MemberBehaviours, LeaseBehaviours, TokenBehaviours
):
    """Every behaviour of a single backend."""


class SharedBackendConformance(SharingBehaviours, SharedTokenBehaviours, BackendConformance):
    """Every behaviour, for a state that several processes may use at once."""
