"""The engine `ray`: the same work on a Ray cluster, or on one that is started here for as long as it takes."""

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
    """Ray's workers, one core each. Ray itself tries a task again whose worker died.

    Args:
        address: of the cluster, as `ray.init` takes it; None starts one on this machine.
        jobs: workers of a cluster that is started here.

    Raises:
        UsageError: Ray is not installed, or there is no cluster at that address.
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
            raise UsageError(f"there is no Ray cluster at {address or 'this machine'}: {error}") from None

    def run(self, setting: Setting, tasks: Sequence[Task]) -> Iterator[tuple[Task, Done | Lost]]:
        """Each task as it ends; whoever stops to listen leaves the cluster."""
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
