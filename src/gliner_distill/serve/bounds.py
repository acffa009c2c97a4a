"""The bounds within which requests are answered."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most that a request, and all waiting requests together, may ask for.

    Attributes:
        max_body_bytes: The size of a body.
        max_texts: The number of texts of a request.
        max_chars: The characters of a request: of all its texts, labels and descriptions.
        max_labels: The number of labels of a request.
        max_waiting: The number of requests that wait for one model.
        max_waiting_chars: The characters of these requests.
        time_limit_s: The seconds until a request must be answered.
    """

    max_body_bytes: int = 8 * 2**20
    max_texts: int = 1_000
    max_chars: int = 1_000_000
    max_labels: int = 500
    max_waiting: int = 1_024
    max_waiting_chars: int = 16_000_000
    time_limit_s: float = 30.0
