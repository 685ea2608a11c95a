"""The tree search: selection, backup, and convergence."""

from __future__ import annotations

from random import Random

import pytest

from kvparity_scenarios.tree_search import Node, Tree


def tree(priors: list[float]) -> Tree:
    """A tree in which only the root is expanded."""
    return Tree(Node(1.0), priors, Random(0))


def simulate(searched: Tree, rewards: list[float], simulations: int) -> list[int]:
    """Search a bandit whose arms pay once; returns the visits of the root's children."""
    for _ in range(simulations):
        path, action = searched.select()
        path[-1].reward = rewards[action] if len(path) == 2 else 0.0
        path[-1].expand([0.5, 0.5])
        searched.backup(path, 0.0)
    return [child.visits for child in searched.root.children]


def test_a_leaf_is_reached_through_its_parent() -> None:
    """The path ends in a node without children, whose parent is the last but one."""
    searched = tree([0.6, 0.4])
    path, action = searched.select()
    assert path[0] is searched.root
    assert path[1] is searched.root.children[action]
    assert not path[1].children


def test_noise_keeps_the_roots_priors_a_distribution() -> None:
    """The priors still sum to 1, and have changed."""
    priors = [child.prior for child in tree([0.7, 0.2, 0.1]).root.children]
    assert sum(priors) == pytest.approx(1.0)
    assert priors != pytest.approx([0.7, 0.2, 0.1])


def test_every_simulation_is_counted_once_on_its_path() -> None:
    """The root's visits are the simulations, and its children's sum to them."""
    searched = tree([0.5, 0.5])
    assert sum(simulate(searched, [0.0, 0.0], 30)) == 30
    assert searched.root.visits == 30


def test_visits_go_where_the_reward_is() -> None:
    """With equal priors the paying action is searched more, and so drawn more often."""
    searched = tree([0.5, 0.5])
    poor, rich = simulate(searched, [0.0, 1.0], 60)
    assert rich > 2 * poor > 0
    rng = Random(1)
    assert sum(searched.act(rng) for _ in range(100)) > 60


def test_the_prior_decides_the_first_visit() -> None:
    """Before any visit, the likeliest action is tried."""
    searched = tree([0.01, 0.98, 0.01])
    _, action = searched.select()
    assert action == 1


def test_backup_discounts_the_value_and_adds_rewards() -> None:
    """Each node's value sum grows by the discounted return from there on."""
    searched = tree([1.0])
    [leaf] = searched.root.children
    leaf.reward = 2.0
    searched.backup([searched.root, leaf], 10.0)
    assert leaf.value_sum == 10.0
    assert searched.root.value_sum == pytest.approx(2.0 + 0.97 * 10.0)
