"""LightZero 0.2.0 trains UniZero on CartPole for a few seconds on a CPU, and prints a digest of its losses.

The first argument is the number of steps of the environment (default 200). If there is a second one, each search has
that many simulations, and the batches and the learning rate are such that the model learns enough for searches to
branch.

This script knows nothing of kvparity. Run it with `python`, then with `kvparity shadow`: the digest is the same.
`scenarios/kvparity_scenarios/recorded/requirements.txt` lists what to install.

Example:
    python cartpole_unizero.py 2500 100
"""

import hashlib
import logging
import sys
import tempfile
from itertools import count

import torch
from gymnasium.envs.classic_control import CartPoleEnv
from lzero.entry import train_unizero
from lzero.model.unizero_world_models.kv_caching import Cache
from lzero.policy.unizero import UniZeroPolicy
from zoo.classic_control.cartpole.config.cartpole_unizero_config import create_config, main_config

torch.set_num_threads(1)
logging.disable(logging.CRITICAL)
losses: list[float] = []
seeds = count()
reset_env, reset_cache, forward_learn = CartPoleEnv.reset, Cache.reset, UniZeroPolicy._forward_learn


def seeded_reset(self, *, seed=None, options=None):
    """Seed each reset: LightZero's CartPole does not, and then no two trainings are alike."""
    return reset_env(self, seed=next(seeds) if seed is None else seed, options=options)


def zeroed_reset(self):
    """Fill the caches with zeros: LightZero's begin with whatever was in memory."""
    reset_cache(self)
    self._cache.zero_()


def logged_learn(self, data):
    """Record the loss of each iteration."""
    log = forward_learn(self, data)
    losses.append(float(log["weighted_total_loss"]))
    return log


CartPoleEnv.reset, Cache.reset, UniZeroPolicy._forward_learn = seeded_reset, zeroed_reset, logged_learn

create_config.env_manager.type = "base"
policy = main_config.policy
policy.update(
    cuda=False, device="cpu", num_simulations=25, batch_size=8, update_per_collect=60, replay_buffer_size=1000
)
policy.model.world_model_cfg.device = "cpu"
main_config.env.evaluator_env_num = main_config.env.n_evaluator_episode = policy.evaluator_env_num = 1
main_config.exp_name = f"{tempfile.mkdtemp()}/cartpole"
steps = int(sys.argv[1]) if len(sys.argv) > 1 else 200
if len(sys.argv) > 2:  # noqa: PLR2004  STEPS and SIMULATIONS
    policy.update(num_simulations=int(sys.argv[2]), batch_size=64, replay_buffer_size=10_000, learning_rate=1e-3)

train_unizero([main_config, create_config], seed=0, max_env_step=steps)

digest = hashlib.sha256(repr(losses).encode()).hexdigest()
print(f"{len(losses)} iterations, last loss {losses[-1]:.6f}, losses sha256 {digest[:16]}")
