"""Stop the Ray cluster of a test."""

import gc
import threading
import time


def wait_until_gone(list_them):
    """Wait up to a minute until a function returns nothing."""
    give_up_at = time.monotonic() + 60
    while left := list_them():
        assert time.monotonic() < give_up_at, f"still running: {left}"
        time.sleep(0.1)


def stop_cluster(ray):
    """Stop Ray after the threads of Ray Data: one that is left would start another cluster.

    Ray Data itself waits only two seconds for them, which can be too little on a busy machine.
    """
    gc.collect()  # what is left of a failed run asks the cluster to end it
    wait_until_gone(_executors)
    ray.shutdown()


def _executors():
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith("StreamingExecutor")]
