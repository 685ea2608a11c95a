"""The engine `ray`: the workers of a Ray cluster, or of one that is started on this machine for the campaign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kvparity.campaign.local import TRIES
from kvparity.campaign.work import Lost, attempt
from kvparity.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kvparity.campaign.tasks import Setting, Task
    from kvparity.campaign.work import Done


class OnRay:
    """Ray's workers, with one core each. If a worker dies, Ray itself tries its task again.

    Args:
        address: of the cluster, as `ray.init` takes it; None starts one on this machine.
        jobs: the number of workers, if the cluster is started here.

    Raises:
        UsageError: Ray is not installed, or no cluster answers at that address.
    """

    def __init__(self, address: str | None, jobs: int) -> None:
        try:
            import ray  # noqa: PLC0415 - an extra
        except ImportError:
            raise UsageError("--engine ray needs Ray: pip install 'kvparity[ray]'") from None
        self._ray = ray
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
        try:
            if address is None:
                ray.init(address="local", num_cpus=jobs, include_dashboard=False, **quiet)
            else:
                ray.init(address=address, **quiet)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UsageError(f"no Ray cluster answers at {address or 'this machine'}: {error}") from None

    def run(self, setting: Setting, tasks: Sequence[Task]) -> Iterator[tuple[Task, Done | Lost]]:
        """Yield each task when it ends. Closing the iterator disconnects from the cluster."""
        ray = self._ray
        try:
            remote = ray.remote(num_cpus=1, max_retries=TRIES - 1)(attempt)
            shared = ray.put(setting)
            pending = {remote.remote(shared, task): task for task in tasks}
            while pending:
                [ended], _ = ray.wait(list(pending), num_returns=1)
                task = pending.pop(ended)
                try:
                    outcome: Done | Lost = ray.get(ended)
                except ray.exceptions.RayError as error:
                    outcome = Lost(f"its worker died {TRIES} times: {str(error).splitlines()[0]}")
                yield task, outcome
        finally:
            ray.shutdown()
