"""Trains CartPole UniZero with LightZero 0.2.0 and records what it does with its caches.

Run it in an environment of its own: install requirements.txt from this folder, and kvparity, both with
`pip install --no-deps`. Then:

    python record.py cartpole-unizero -o cartpole-unizero.kvtrace

A recording begins with a collect phase, because LightZero clears all its caches before one, and continues over as many
phases as it needs. The first recording that fits its plan is kept, and the training ends. README.md says how exactly a
run repeats.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from itertools import count
from pathlib import Path
from typing import Any

import torch

from kvparity.operations import RECUR, Checkout, Clear, Get, PoolId, Set, init
from kvparity.traces.reader import Trace
from kvparity.traces.writer import TraceWriter
from kvparity.training.lightzero.models import identity_of, world_models_of
from kvparity.training.recorder import Recording
from kvparity.values.fingerprints import fingerprint

SEED = 0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to train, and which part of it to keep.

    Attributes:
        tensors: `full` or `fingerprint`.
        note: a note in the trace's header.
        environments: the number of environments of the collector.
        policy: changes to LightZero's policy configuration for CartPole.
        world_model: changes to the world model's configuration.
        limit: after this many operations, a recording ends with the search.
        branching: the least number of searches with a branch.
        episode_end: whether an environment must finish before the others, and filled init pools must be cleared between
            two lookups.
        wrong_hits: the least and the greatest number of answers that are the value of another key.
    """

    tensors: str
    note: str
    environments: int
    policy: dict[str, Any]
    world_model: dict[str, Any]
    limit: int
    branching: int
    episode_end: bool
    wrong_hits: tuple[int, float]


LEARNING = {"update_per_collect": 60, "learning_rate": 1e-3, "batch_size": 64, "replay_buffer_size": 10_000}
PLANS = {
    "cartpole-unizero": Plan(
        tensors="full",
        note="CartPole UniZero, 25 simulations, from where searches branch; no wrong answer in it",
        environments=2,
        policy={**LEARNING, "num_simulations": 25},
        world_model={},
        limit=2_800,
        branching=10,
        episode_end=True,
        wrong_hits=(0, 0),
    ),
    "cartpole-unizero-100sims": Plan(
        tensors="fingerprint",
        note="CartPole UniZero, policy.num_simulations=100 and nothing else changed; it returns wrong tensors",
        environments=8,
        policy={**LEARNING, "num_simulations": 100},
        world_model={},
        limit=40_000,
        branching=10,
        episode_end=False,
        wrong_hits=(500, float("inf")),
    ),
    "fresh": Plan(
        tensors="full",
        note="CartPole UniZero with a ring smaller than a search",
        environments=4,
        policy={**LEARNING, "update_per_collect": 20, "num_simulations": 25},
        world_model={"num_simulations": 4},
        limit=4_000,
        branching=5,
        episode_end=False,
        wrong_hits=(1, float("inf")),
    ),
}


class Done(BaseException):
    """The recording is complete, and the training may end."""


def main() -> None:
    """Make the recording that the command line asks for."""
    parser = argparse.ArgumentParser(description="Record LightZero 0.2.0 training CartPole UniZero.")
    parser.add_argument("plan", choices=PLANS)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    parser.add_argument("--max-env-step", type=int, default=20_000, help="give up after this many environment steps")
    options = parser.parse_args()
    if options.output.exists():
        sys.exit(f"{options.output} exists already")
    torch.set_num_threads(1)
    plan, output = PLANS[options.plan], options.output.resolve()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            train(plan, output, options.max_env_step)
        except Done:
            print(f"{output}: {output.stat().st_size:,} bytes")
            return
    sys.exit(f"no recording within {options.max_env_step} environment steps fitted the plan {options.plan}")


def train(plan: Plan, output: Path, max_env_step: int) -> None:
    """LightZero's own training loop, with a collector that records and no evaluation."""
    from lzero.entry import train_unizero  # noqa: PLC0415  LightZero is only there in an environment of its own
    from zoo.classic_control.cartpole.config import cartpole_unizero_config as cartpole  # noqa: PLC0415

    logging.disable(logging.CRITICAL)
    loop = sys.modules["lzero.entry.train_unizero"]
    seed_every_reset()
    blank_padding()
    attempts = Attempts(plan, output)
    loop.create_policy = attempts.of_policy(loop.create_policy)
    loop.Collector = attempts.of_collector(loop.Collector)
    loop.Evaluator = without_evaluation(loop.Evaluator)

    config, create = cartpole.main_config, cartpole.create_config
    create.env_manager.type = "base"
    config.exp_name = "training"
    config.env.collector_env_num = plan.environments
    policy = config.policy
    policy.cuda, policy.device = False, "cpu"
    policy.collector_env_num = policy.n_episode = plan.environments
    policy.update(plan.policy)
    policy.model.world_model_cfg.update(
        {
            "device": "cpu",
            "collector_env_num": plan.environments,
            "env_num": max(plan.environments, policy.evaluator_env_num),
            **plan.world_model,
        }
    )
    train_unizero([config, create], seed=SEED, max_env_step=max_env_step)


def seed_every_reset() -> None:
    """LightZero's CartPole resets unseeded: give each reset a seed, counted up."""
    from gymnasium.envs.classic_control import CartPoleEnv  # noqa: PLC0415  only there in an environment of its own

    own, seeds = CartPoleEnv.reset, count(SEED)

    def reset(self: Any, *, seed: int | None = None, options: Any = None) -> Any:
        return own(self, seed=next(seeds) if seed is None else seed, options=options)

    CartPoleEnv.reset = reset


def blank_padding() -> None:
    """LightZero leaves tokens past a cache's size uninitialised: make them zeros.

    They would differ from run to run, and a file that other people get must not hold what was in memory before.
    """
    from lzero.model.unizero_world_models.kv_caching import Cache  # noqa: PLC0415  as above

    own = Cache.reset

    def reset(self: Any) -> None:
        own(self)
        self._cache.zero_()

    Cache.reset = reset


def without_evaluation(evaluator: type) -> type:
    """The evaluator, which does nothing."""
    return type("NoEvaluator", (evaluator,), {"eval": lambda *_: (False, 0.0), "should_eval": lambda *_: False})


class Attempts:
    """Records from one collect phase on; the first recording that fits the plan is kept and ends the training."""

    def __init__(self, plan: Plan, output: Path) -> None:
        self._plan = plan
        self._output = output
        self._policy: Any = None
        self._phase = 0
        self._writer: TraceWriter | None = None
        self._recording: Recording | None = None

    def of_policy(self, create: Any) -> Any:
        """LightZero's `create_policy`, watched."""

        def create_policy(*arguments: Any, **options: Any) -> Any:
            self._policy = create(*arguments, **options)
            return self._policy

        return create_policy

    def of_collector(self, collector: type) -> type:
        """LightZero's collector, before each of whose phases a recording can end and the next begin."""
        attempts = self

        class RecordingCollector(collector):  # type: ignore[misc]
            def collect(self, *arguments: Any, **options: Any) -> Any:
                attempts.before_phase()
                return super().collect(*arguments, **options)

        return RecordingCollector

    def before_phase(self) -> None:
        """Check a recording that has reached its limit, and begin the next one."""
        self._phase += 1
        if self._writer is not None and self._recording is not None:
            if self._recording.operations < self._plan.limit:
                return
            self._recording.detach()
            self._writer.close()
            self._keep_or_drop(self._writer.path)
        models = world_models_of(self._policy)
        self._writer = TraceWriter(
            Path(f"from-phase-{self._phase}.kvtrace").resolve(),
            tensors=self._plan.tensors,  # type: ignore[arg-type]
            served_by="legacy-released",
            seed=SEED,
            model=identity_of(next(iter(models.values()))),
            note=self._plan.note,
            versions={name: metadata.version(name) for name in ("lightzero", "di-engine")},
        )
        self._recording = Recording(models, self._writer, limit=self._plan.limit)

    def _keep_or_drop(self, path: Path) -> None:
        facts = look_at(path)
        print(f"{path.stem}: {facts}", flush=True)
        if fits(facts, self._plan):
            shutil.move(path, self._output)
            raise Done
        path.unlink()


@dataclass(kw_only=True)
class Facts:
    """What a recording holds."""

    operations: int = 0
    lookups: int = 0
    searches: int = 0
    branching: int = 0
    wrong_hits: int = 0
    resets: int = 0
    init_clears: int = 0
    episode_end: bool = False


def look_at(path: Path) -> Facts:
    """Count what a plan has limits for."""
    facts = Facts()
    truth: dict[tuple[int, PoolId], dict[int, bytes]] = {}
    checkouts: list[Checkout] = []
    sizes: set[int] = set()
    init_clears = 0
    with Trace(path) as trace:
        for recorded in trace:
            facts.operations += 1
            operation, answer = recorded.operation, recorded.answer
            if isinstance(operation, Set):
                known = truth.setdefault((recorded.stream, operation.pool), {})
                facts.resets += operation.key in known
                known[operation.key] = fingerprint(operation.value)
            elif isinstance(operation, Clear):
                known = truth.pop((recorded.stream, operation.pool), {})
                init_clears += operation.pool != RECUR and bool(known)
                if operation.pool == RECUR and checkouts:
                    facts.searches += 1
                    facts.branching += len({checkout.key for checkout in checkouts}) < len(checkouts)
                    sizes.add(len({checkout.env for checkout in checkouts}))
                    checkouts = []
            elif isinstance(operation, Get | Checkout) and answer is not None:
                facts.lookups += 1
                facts.init_clears = init_clears
                pool = operation.pool if isinstance(operation, Get) else init(operation.env)
                if isinstance(operation, Checkout):
                    checkouts.append(operation)
                    pool = RECUR if answer.source == "recur" else pool
                known = truth.get((recorded.stream, pool), {})
                facts.wrong_hits += answer.fingerprint not in (None, known.get(operation.key))
    facts.episode_end = len(sizes) > 1
    return facts


def fits(facts: Facts, plan: Plan) -> bool:
    """Whether the recording fits the plan."""
    least, greatest = plan.wrong_hits
    return (
        facts.branching >= plan.branching
        and least <= facts.wrong_hits <= greatest
        and ((facts.episode_end and facts.init_clears > 0) or not plan.episode_end)
        and (facts.resets == 0 or greatest > 0)
    )


if __name__ == "__main__":
    main()
