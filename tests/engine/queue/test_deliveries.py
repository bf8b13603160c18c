"""The messages that a broker may forget: everything up to a tag, and nothing that is still needed."""

from bizon.common.clock import utc_now
from bizon.engine.queue.deliveries import Deliveries
from bizon.engine.queue.models import QueueMessage
from bizon.rows.frames import empty_source_frame


def page(iteration: int, job: str = "job") -> QueueMessage:
    return QueueMessage(job, 1, iteration, empty_source_frame(), utc_now())


def test_pages_are_forgotten_once_they_are_committed() -> None:
    open_ = Deliveries()
    for tag in range(1, 6):
        open_.add(tag, page(tag - 1), 10)
    assert open_.ack("job", 2) == 3
    assert (len(open_), open_.size) == (2, 20)
    assert open_.ack("job", 2) is None


def test_nothing_after_an_open_page_is_forgotten() -> None:
    open_ = Deliveries()
    for tag, message in enumerate([page(0), page(7, "another"), None, page(1)], 1):
        open_.add(tag, message, 10)
    assert open_.discard(2) is None
    assert open_.ack("job", 0) == 3
    assert open_.ack("job", 1) == 4
    assert open_.size == 0


def test_a_page_of_another_job_with_a_lower_number_stays_open() -> None:
    open_ = Deliveries()
    open_.add(1, page(0, "another"), 10)
    open_.add(2, page(5), 10)
    assert open_.ack("job", 5) is None
    assert open_.discard(1) == 2


def test_pieces_are_forgotten_with_the_message_they_belong_to() -> None:
    open_ = Deliveries()
    open_.add_piece(10)
    open_.add_piece(10)
    assert open_.ack("job", 9) is None
    open_.add(3, page(0), 10)
    assert open_.size == 30
    assert open_.ack("job", 0) == 3
    assert open_.size == 0


def test_a_lost_connection_leaves_nothing_open() -> None:
    open_ = Deliveries()
    open_.add_piece(5)
    open_.add(2, page(0), 10)
    open_.clear()
    assert (open_.ack("job", 9), open_.size) == (None, 0)


def test_a_page_that_waits_for_its_commit_survives_being_called_a_repeat() -> None:
    """It is in the buffer when the connection is lost, arrives again and is discarded as a repeat. If the broker forgot
    it, a consumer that dies before its commit would lose it."""
    open_ = Deliveries()
    open_.add(1, page(0), 10)
    open_.add(2, page(9, "another"), 10)
    open_.discard(2)
    open_.clear()
    open_.clear()
    open_.add(11, page(0), 10)
    open_.add(12, page(9, "another"), 10)
    assert open_.discard(11) is None
    assert open_.discard(12) is None
    assert open_.ack("job", 0) == 12


def test_a_message_that_is_discarded_only_after_the_connection_was_lost_is_acknowledged_when_it_arrives_again() -> None:
    open_ = Deliveries()
    open_.add(1, page(0, "another"), 10)
    open_.clear()
    assert open_.discard(1) is None
    open_.add(11, page(0, "another"), 10)
    assert open_.discard(11) == 11


def test_a_page_that_was_committed_while_the_connection_was_gone_is_a_repeat() -> None:
    open_ = Deliveries()
    open_.add(1, page(0), 10)
    open_.clear()
    assert open_.ack("job", 0) is None
    open_.add(11, page(0), 10)
    assert open_.discard(11) == 11
