"""Monte Carlo tree search: one pUCT tree for each environment.

The rule is MuZero's (Schrittwieser et al., 2020, appendix B), as in LightZero 0.2.0: each node has a prior, visits and
a sum of values. Q is normalised by the least and the greatest Q in the tree, and the root's priors get Dirichlet noise.
"""

from __future__ import annotations

from math import inf, log, sqrt
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from random import Random

    from kvparity_scenarios.context import Context
    from kvparity_scenarios.model import Latents

_BASE = 19652
_INIT = 1.25
_DISCOUNT = 0.97
_NOISE_SHARE = 0.25
_NOISE_SHAPE = 0.3


class State(NamedTuple):
    """What the model computed for a node.

    Attributes:
        latent: `[Z]` float64.
        key: the key of the latent.
        context: the tokens on the way here.
    """

    latent: Latents
    key: int
    context: Context


class Node:
    """One node of a tree. A leaf has no children yet, and no `state`.

    Attributes:
        prior: the policy's probability of the action that leads here.
        visits: the number of simulations that passed through.
        value_sum: the sum of their returns from here on.
        reward: the reward for the action that leads here.
        children: one for each action.
        state: what the model computed here.
    """

    __slots__ = ("children", "prior", "reward", "state", "value_sum", "visits")

    state: State

    def __init__(self, prior: float) -> None:
        self.prior = prior
        self.visits = 0
        self.value_sum = 0.0
        self.reward = 0.0
        self.children: list[Node] = []

    def expand(self, priors: list[float]) -> None:
        """Add a child for each action."""
        self.children = [Node(prior) for prior in priors]


class Tree:
    """The search of one environment.

    Args:
        root: a leaf with a state.
        priors: of the root's actions; noise is added to them.
        rng: the source of the noise.
    """

    def __init__(self, root: Node, priors: list[float], rng: Random) -> None:
        self.root = root
        self._least, self._greatest = inf, -inf
        noise = [rng.gammavariate(_NOISE_SHAPE, 1.0) for _ in priors]
        total = sum(noise) or 1.0
        root.expand(
            [
                (1.0 - _NOISE_SHARE) * prior + _NOISE_SHARE * draw / total
                for prior, draw in zip(priors, noise, strict=True)
            ]
        )

    def select(self) -> tuple[list[Node], int]:
        """The path from the root to a leaf, both included, and the last action on the path."""
        node, action = self.root, 0
        path = [node]
        while node.children:
            action = self._best(node)
            node = node.children[action]
            path.append(node)
        return path, action

    def backup(self, path: list[Node], value: float) -> None:
        """Count one simulation along `path`. `value` is the value of its leaf."""
        for node in reversed(path):
            node.visits += 1
            node.value_sum += value
            value = node.reward + _DISCOUNT * value
            self._least = min(self._least, value)
            self._greatest = max(self._greatest, value)

    def act(self, rng: Random) -> int:
        """An action, drawn in proportion to the visits of the root's children."""
        visits = [child.visits for child in self.root.children]
        return rng.choices(range(len(visits)), visits)[0]

    def _best(self, node: Node) -> int:
        visits = max(1, node.visits)
        explore = (log((visits + _BASE + 1) / _BASE) + _INIT) * sqrt(visits)
        spread = self._greatest - self._least
        best, best_score = 0, -inf
        for action, child in enumerate(node.children):
            score = explore * child.prior / (1 + child.visits)
            if child.visits and spread > 0:
                q = child.reward + _DISCOUNT * child.value_sum / child.visits
                score += (q - self._least) / spread
            if score > best_score:
                best, best_score = action, score
        return best
