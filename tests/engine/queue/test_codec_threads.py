"""The spool's thread encodes a page while other threads read the same page."""

import subprocess
import sys

ENCODE_WHILE_READ = """
import threading
from datetime import UTC, datetime
import polars as pl
from bizon.engine.queue.codec import encode
from bizon.engine.queue.models import QueueMessage
frame = pl.DataFrame({"text": ["x" * 500] * 1000})
message = QueueMessage(
    job_id="j", epoch=1, iteration=0, frame=frame, extracted_at=datetime.now(UTC), pagination={}, next_state=None
)
done = threading.Event()
def look():
    while not done.is_set():
        for _ in range(1000):
            frame.height
looking = threading.Thread(target=look, daemon=True)
looking.start()
for _ in range(300):
    encode(message)
done.set()
looking.join(10)
print("encoded")
"""


def test_a_page_is_encoded_while_another_thread_reads_its_height() -> None:
    """Polars locks a frame while it writes it to a Python file, and needs the interpreter meanwhile. A thread that held
    the interpreter and waited for the frame's height never got it, so runs with a spool hung forever."""
    child = [sys.executable, "-c", ENCODE_WHILE_READ]
    assert subprocess.run(child, capture_output=True, text=True, timeout=60, check=True).stdout == "encoded\n"
