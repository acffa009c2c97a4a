"""Answer a stream of rows on a Ray cluster: one task reads them, and workers answer them.

The reading task runs on the machine of the calling process if that is part of the cluster, and
there is one actor per worker. The calling process receives the answers. If an actor dies, Ray
starts it again and repeats its row. A failure on the cluster is passed on as an answer that
describes it, because Ray would wrap it in its own errors or repeat the row.
"""

import logging
import os
import socket
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gliner_distill.errors import DistillError, MissingExtraError, SettingsError

try:
    import pyarrow as pa  # comes with Ray
    import ray
    from ray.data import Datasource, ReadTask
    from ray.data.block import BlockMetadata
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ImportError as error:
    raise MissingExtraError("ray", "ray") from error


LOCAL = "local"
"""The address of a cluster that is started on this machine and stopped at the end."""

_SECONDS_TO_CONNECT = 10

_logger = logging.getLogger(__name__)

Rows = Callable[[], Iterator[str]]
"""A function that returns the rows from the start; it is called on another machine."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Ray cluster and its workers.

    Attributes:
        n_workers: The number of actors.
        address: The address of a running cluster, such as `auto` or `HOST:6379`; or `local`.
        cpus_per_worker: The number of CPU cores that a worker takes.
        gpus_per_worker: The share of a GPU that a worker takes; 0 for workers on CPUs.
        max_retries: The number of times that a row is repeated after its worker died. The number
            of deaths in total is not limited, but a row that always kills its worker is given up.
        in_order: Whether the answers come in the order of the rows; otherwise each comes as soon as
            it is ready.
    """

    n_workers: int
    address: str = LOCAL
    cpus_per_worker: int = 1
    gpus_per_worker: float = 0.0
    max_retries: int = 5
    in_order: bool = False

    def __post_init__(self) -> None:
        if self.n_workers < 1:
            raise SettingsError(f"workers must be 1 or more; got {self.n_workers}")
        if self.gpus_per_worker < 0:
            raise SettingsError(f"GPUs per worker must be 0 or more; got {self.gpus_per_worker}")
        if self.address.startswith("ray://"):
            raise SettingsError(
                f"Ray cluster {self.address!r}: Ray Data does not work through Ray's client; give "
                "an address such as HOST:6379, and run this on a machine that the cluster can reach"
            )

    def answer(
        self, rows: Rows, worker: type, arguments: dict[str, Any]
    ) -> Iterator[dict[str, Any]]:
        """Yield the answers of the workers.

        Args:
            rows: Returns the rows. If it raises an error, that is passed on as a row.
            worker: The class of the actors. It is called with a table of one row, whose columns are
                `row`, `kind` and `error` (see `describe_error`), and returns a table of one row.
            arguments: The arguments of its constructor.

        Raises:
            DistillError: The cluster cannot be reached, or fails.
        """
        self._connect()
        self.check_room(ray.nodes())  # type: ignore[no-untyped-call]
        with self._small_blocks():
            answers = self._plan_answers(rows, worker, arguments)
            try:
                yield from answers.iter_rows()
            except ray.exceptions.RayError as error:
                raise DistillError(f"the Ray cluster failed: {_last_line(error)}") from error

    def _plan_answers(self, rows: Rows, worker: type, arguments: dict[str, Any]) -> Any:
        """Return a Ray data set of answers, which the workers compute while it is read."""
        with warnings.catch_warnings():
            # Ray 2.60 deprecates `max_task_retries` here, and offers nothing in its place.
            warnings.simplefilter("ignore", DeprecationWarning)
            read = ray.data.read_datasource(
                _RowSource(rows), override_num_blocks=1, ray_remote_args=_run_here()
            )
            return read.map_batches(
                worker,
                batch_size=1,
                batch_format="pyarrow",
                fn_constructor_kwargs=arguments,
                compute=ray.data.ActorPoolStrategy(size=self.n_workers),
                num_cpus=self.cpus_per_worker,
                num_gpus=self.gpus_per_worker or None,
                max_task_retries=self.max_retries,
            )

    def _connect(self) -> None:
        """Connect to the cluster, or start one, unless this process is connected already.

        The connection stays until the process ends, as Ray's own connections do.
        """
        if ray.is_initialized():
            return
        n_cpus = self.n_workers * self.cpus_per_worker
        is_local = self.address == LOCAL
        local = {"num_cpus": n_cpus, "include_dashboard": False} if is_local else {}
        # Ray reports usage to its makers unless told otherwise.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            _check_reachable(self.address)
            ray.init(self.address, logging_level=logging.ERROR, log_to_driver=False, **local)  # type: ignore[arg-type]
        except Exception as error:  # of many classes, from timeouts to version conflicts
            reason = " ".join(str(error).split())[:200]
            raise DistillError(
                f"Ray cluster {self.address!r} cannot be reached: {reason}; expected the address "
                "of a running cluster (`ray start --head` prints it; set RAY_AUTH_MODE=token if it "
                f"asks for a token), or {LOCAL}"
            ) from error

    def check_room(self, nodes: list[dict[str, Any]]) -> None:
        """Check that some machine can hold a worker; Ray would wait for one without a word.

        Args:
            nodes: The machines, as `ray.nodes` describes them.

        Raises:
            DistillError: None can, and none can join, because the cluster is this machine.
        """
        needs = {"CPU": self.cpus_per_worker, "GPU": self.gpus_per_worker}
        held = [node["Resources"] for node in nodes if node["Alive"]]
        if any(all(own.get(kind, 0) >= n for kind, n in needs.items()) for own in held):
            return
        cores = "1 CPU core" if self.cpus_per_worker == 1 else f"{self.cpus_per_worker} CPU cores"
        gpus = "1 GPU" if self.gpus_per_worker == 1 else f"{self.gpus_per_worker:g} GPUs"
        needed = f"each worker takes {cores} and {gpus}"
        message = f"{needed}, but no machine of the Ray cluster has them"
        if self.address == LOCAL:
            raise DistillError(f"{message}; ask for less, or give the address of a cluster")
        _logger.warning("%s; waiting for one to join (Ctrl-C stops)", message)

    @contextmanager
    def _small_blocks(self) -> Iterator[None]:
        """Make Ray Data pass on each row at once, instead of collecting 128 MB, and log less."""
        logging.getLogger("ray.data").setLevel(
            logging.CRITICAL
        )  # Ray Data logs only errors that it also raises
        context = ray.data.DataContext.get_current()
        options = context.execution_options
        before = context.target_max_block_size, context.enable_progress_bars, options.preserve_order
        # With a block of one byte, each row is a block of its own.
        context.target_max_block_size, context.enable_progress_bars = 1, False
        options.preserve_order = self.in_order
        try:
            yield
        finally:
            context.target_max_block_size, context.enable_progress_bars = before[:2]
            options.preserve_order = before[2]


class _RowSource(Datasource):
    """The rows: `row`, or the `kind` and the `error` of a failure."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(self, parallelism: int, *args: Any, **more: Any) -> list[ReadTask]:
        rows = self._rows
        metadata = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        # A single task reads all rows, because they may depend on their positions.
        return [ReadTask(lambda: _tables(rows), metadata)]


def _run_here() -> dict[str, Any]:
    """Return the arguments of a task that runs on this machine if it can, because of its files.

    It takes no core of its own. Otherwise, it would never start where workers take all cores.
    """
    node = ray.get_runtime_context().get_node_id()
    return {"num_cpus": 0, "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=True)}


def _tables(rows: Rows) -> Iterator[pa.Table]:
    try:
        for row in rows():
            yield _table(row=row)
    except Exception as error:
        yield _table(**describe_error(error))


def _table(*, row: str = "", kind: str = "", error: str = "") -> pa.Table:
    return pa.table({"row": [row], "kind": [kind], "error": [error]})


def absolute_name(model: str) -> str:
    """Return the absolute path of a folder, since workers run in other folders; or a hub id."""
    return str(Path(model).absolute()) if Path(model).is_dir() else model


def describe_error(error: Exception) -> dict[str, str]:
    """Return the class of an error as `kind`, and the machine and its message as `error`."""
    kind = type(error).__name__
    name = "" if isinstance(error, DistillError) else f"{kind}: "
    return {"kind": kind, "error": f"worker on {os.uname().nodename}: {name}{error}"}


def _check_reachable(address: str) -> None:
    """Check that something listens at an address with a port; Ray would wait for it without end.

    Raises:
        OSError: Nothing listens there.
    """
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS_TO_CONNECT).close()


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # The last line of a Ray error is the cause; the lines before are tracebacks of other machines.
    return lines[-1] if lines else type(error).__name__
