"""A collector that uses a cache as UniZero of LightZero 0.2.0 does, while it searches and acts.

Each environment step (`WorldModel.wm_forward_for_initial_infererence`, then `forward_recurrent_inference`):

1. root inference: every ready environment looks up its last latent in its init pool, then sets its current one;
2. the recur pool is cleared;
3. simulations: every ready environment checks out the parent of the leaf that its tree selected. The transformer
   appends two tokens to the working copies, and the new nodes are set in the recur pool;
4. each environment acts. When its episode ends, its init pool is cleared; now and then all pools are.

Operations have the true number of the environment, whatever its position in the batch. The collector does not see the
answers of the cache: it keeps the contexts of the running search and of the last roots itself.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kvparity.operations import ALL, ALL_INIT, RECUR, Checkout, Clear, Get, Set, Write, init
from kvparity_scenarios.context import Geometry, ToyTransformer, render
from kvparity_scenarios.model import ToyModel, key_of
from kvparity_scenarios.tree_search import Node, State, Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from random import Random

    from kvparity.operations import Operation, PoolId
    from kvparity_scenarios.context import Context
    from kvparity_scenarios.model import Latents

_REPLAY_LATENTS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How a collector works.

    Attributes:
        env_num: the number of environments.
        simulations: simulations of each search.
        geometries: one for each task; an environment draws its task at the start of each episode.
        episode_steps: the least and the greatest length of an episode.
        idle_ticks: the least and the greatest number of ticks for which an environment is not ready after a step.
        rest_ticks: the same after an episode.
        clear_every: ticks between two clears of everything.
        latent_dim: `Z` of the model.
        grid: of the model; None for latents that never repeat.
        noise: how far the real latent is from the predicted one.
        prioritised: whether a set has the node's prior as its priority.
    """

    env_num: int
    simulations: int
    geometries: tuple[Geometry, ...] = (Geometry(),)
    episode_steps: tuple[int, int] = (2, 24)
    idle_ticks: tuple[int, int] = (0, 0)
    rest_ticks: tuple[int, int] = (0, 0)
    clear_every: int = 25
    latent_dim: int = 8
    grid: float | None = None
    noise: float = 0.1
    prioritised: bool = False


@dataclass(slots=True, kw_only=True)
class _Environment:
    """One environment, and what the collector remembers of it between two steps.

    Attributes:
        number: its `env_id`.
        latent: `[Z]`, of the current observation.
        task: the number of its geometry.
        steps_left: steps until its episode ends.
        idle: ticks until it is ready.
        previous: the state at the root of its last search; None at the start of an episode.
        action: the action that was taken there.
    """

    number: int
    latent: Latents
    task: int
    steps_left: int
    idle: int = 0
    previous: State | None = None
    action: int = 0


class Collector:
    """Searches and acts, and yields the operations that this does to a cache.

    Args:
        habits: how it works.
        rng: the source of all its randomness.
    """

    def __init__(self, habits: Habits, rng: Random) -> None:
        self._habits = habits
        self._rng = rng
        self._model = ToyModel(rng, latent_dim=habits.latent_dim, grid=habits.grid)
        self._transformers = [
            ToyTransformer(rng, geometry=geometry, num_actions=self._model.num_actions, latent_dim=habits.latent_dim)
            for geometry in habits.geometries
        ]
        self._environments = [
            _Environment(
                number=number,
                latent=self._model.start(rng),
                task=number % len(self._transformers),
                steps_left=rng.randint(*habits.episode_steps),
            )
            for number in range(habits.env_num)
        ]
        self._replay: deque[Latents] = deque(maxlen=_REPLAY_LATENTS)
        self._ticks = 0
        self._sets = 0

    def tick(self) -> Iterator[Operation]:
        """One step of every environment that is ready."""
        ready = [environment for environment in self._environments if not environment.idle]
        for environment in self._environments:
            environment.idle = max(0, environment.idle - 1)
        if ready:
            trees = yield from self._infer_roots(ready)
            yield Clear(pool=RECUR)
            for _ in range(self._habits.simulations):
                yield from self._simulate(ready, trees)
            yield from self._act(ready, trees)
        self._ticks += 1
        if self._ticks % self._habits.clear_every == 0:
            yield from self._clear_everything()

    def reanalyze(self, batches: int) -> Iterator[Operation]:
        """Search again from past latents, `env_num` at a time. Nothing is looked up, and everything is set.

        The encoder was trained in the meantime, so the latents and therefore the keys have changed. Every context
        starts again from its one latent.
        """
        tasks = [environment.task for environment in self._environments]
        for _ in range(batches):
            latents = np.stack([self._model.disturbed(self._rng.choice(self._replay), self._rng) for _ in tasks])
            trees = self._plant(latents, self._begin(tasks, latents))
            yield Clear(pool=RECUR)
            for _ in range(self._habits.simulations):
                paths, actions = _select(trees)
                parents = self._begin(tasks, np.stack([path[-2].state.latent for path in paths]))
                yield from self._expand(trees, paths, actions, tasks=tasks, parents=parents)

    def _infer_roots(self, ready: list[_Environment]) -> Generator[Operation, None, list[Tree]]:
        for environment in ready:
            if environment.previous is not None:
                yield Get(pool=init(environment.number), key=environment.previous.key)
        latents = np.stack([environment.latent for environment in ready])
        trees = self._plant(latents, [self._root_context(environment) for environment in ready])
        for environment, tree in zip(ready, trees, strict=True):
            yield self._set(init(environment.number), tree.root)
        return trees

    def _root_context(self, environment: _Environment) -> Context:
        transformer = self._transformers[environment.task]
        latents = environment.latent[None]
        if environment.previous is None:
            return transformer.begin(latents)[0]
        return transformer.extend([environment.previous.context], [environment.action], latents)[0]

    def _simulate(self, ready: list[_Environment], trees: list[Tree]) -> Iterator[Operation]:
        paths, actions = _select(trees)
        for environment, path in zip(ready, paths, strict=True):
            yield Checkout(env=environment.number, key=path[-2].state.key)
        for environment, action in zip(ready, actions, strict=True):
            yield Write(env=environment.number, fill=float(action))
        for environment, path in zip(ready, paths, strict=True):
            yield Write(env=environment.number, fill=-float(len(path)))
        tasks = [environment.task for environment in ready]
        parents = [path[-2].state.context for path in paths]
        yield from self._expand(trees, paths, actions, tasks=tasks, parents=parents)

    def _expand(
        self,
        trees: list[Tree],
        paths: list[list[Node]],
        actions: list[int],
        *,
        tasks: list[int],
        parents: list[Context],
    ) -> Iterator[Operation]:
        latents, rewards = self._model.step(np.stack([path[-2].state.latent for path in paths]), actions)
        priors, values = self._model.predict(latents)
        contexts = self._extend(tasks, parents, actions, latents)
        for lane, (tree, path) in enumerate(zip(trees, paths, strict=True)):
            leaf = path[-1]
            leaf.state = State(latents[lane], key_of(latents[lane]), contexts[lane])
            leaf.reward = rewards[lane]
            leaf.expand(priors[lane])
            tree.backup(path, values[lane])
            yield self._set(RECUR, leaf)

    def _act(self, ready: list[_Environment], trees: list[Tree]) -> Iterator[Operation]:
        rng, habits = self._rng, self._habits
        actions = [tree.act(rng) for tree in trees]
        latents, _ = self._model.step(np.stack([tree.root.state.latent for tree in trees]), actions)
        for lane, (environment, tree) in enumerate(zip(ready, trees, strict=True)):
            self._replay.append(environment.latent)
            environment.previous = tree.root.state
            environment.action = actions[lane]
            environment.latent = self._model.disturbed(latents[lane], rng, amount=habits.noise)
            environment.idle = rng.randint(*habits.idle_ticks)
            environment.steps_left -= 1
            if environment.steps_left == 0:
                yield Clear(pool=init(environment.number))
                environment.previous = None
                environment.latent = self._model.start(rng)
                environment.task = rng.randrange(len(self._transformers))
                environment.steps_left = rng.randint(*habits.episode_steps)
                environment.idle = rng.randint(*habits.rest_ticks)

    def _clear_everything(self) -> Iterator[Operation]:
        if self._ticks // self._habits.clear_every % 2:
            yield Clear(pool=ALL_INIT)
            yield Clear(pool=RECUR)
        else:
            yield Clear(pool=ALL)
        for environment in self._environments:
            if environment.previous is not None:
                # Its context is lost with the cache: the model goes on from one latent.
                [context] = self._transformers[environment.task].begin(environment.previous.latent[None])
                environment.previous = environment.previous._replace(context=context)

    def _plant(self, latents: Latents, contexts: list[Context]) -> list[Tree]:
        priors, _ = self._model.predict(latents)
        trees = []
        for latent, context, prior in zip(latents, contexts, priors, strict=True):
            root = Node(1.0)
            root.state = State(latent, key_of(latent), context)
            trees.append(Tree(root, prior, self._rng))
        return trees

    def _set(self, pool: PoolId, node: Node) -> Set:
        self._sets += 1
        priority = round(node.prior, 6) if self._habits.prioritised else None
        value = render(node.state.context, self._sets)
        return Set(pool=pool, key=node.state.key, value=value, priority=priority)

    def _begin(self, tasks: list[int], latents: Latents) -> list[Context]:
        return self._per_task(tasks, lambda transformer, lanes: transformer.begin(latents[lanes]))

    def _extend(self, tasks: list[int], parents: list[Context], actions: list[int], latents: Latents) -> list[Context]:
        return self._per_task(
            tasks,
            lambda transformer, lanes: transformer.extend(
                [parents[lane] for lane in lanes], [actions[lane] for lane in lanes], latents[lanes]
            ),
        )

    def _per_task(self, tasks: list[int], make: Callable[[ToyTransformer, list[int]], list[Context]]) -> list[Context]:
        """Contexts in the order of `tasks`. Each task is one batch, because a batch has one geometry."""
        contexts: dict[int, Context] = {}
        for task in sorted(set(tasks)):
            lanes = [lane for lane, wanted in enumerate(tasks) if wanted == task]
            contexts.update(zip(lanes, make(self._transformers[task], lanes), strict=True))
        return [contexts[lane] for lane in range(len(tasks))]


def _select(trees: list[Tree]) -> tuple[list[list[Node]], list[int]]:
    selected = [tree.select() for tree in trees]
    return [path for path, _ in selected], [action for _, action in selected]
