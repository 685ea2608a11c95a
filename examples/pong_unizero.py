"""LightZero 0.2.0 trains UniZero on Atari Pong for a few minutes on a CPU, and prints a digest of its losses.

The arguments are the steps of the environment (default 200) and the simulations of a search (default 25). This is
LightZero's own Pong, with fewer environments and smaller batches; the model has its full size. Install
`scenarios/kvparity_scenarios/recorded/requirements.txt` and `examples/pong-requirements.txt`; the game itself comes
with ale-py. This script knows nothing of kvparity. Run it with `python`, then with `kvparity shadow`: the digest is the
same.

Example:
    python pong_unizero.py 400 50
"""

import hashlib
import logging
import sys
import tempfile
from itertools import count
from typing import ClassVar

import ale_py
import gym
import lzero.entry
import numpy as np
import torch
from ale_py.roms import get_rom_path
from lzero.model.unizero_world_models.kv_caching import Cache
from lzero.policy.unizero import UniZeroPolicy
from zoo.atari.config.atari_unizero_config import main as configure

ENVIRONMENTS = 2
torch.set_num_threads(1)
logging.disable(logging.CRITICAL)
losses: list[float] = []
seeds = count()
reset_cache, forward_learn, train_unizero = Cache.reset, UniZeroPolicy._forward_learn, lzero.entry.train_unizero


class Pong(gym.Env):
    """The game with the interface of gym 0.25, which LightZero wraps. ale-py has the interface of gymnasium."""

    metadata: ClassVar = {"render_modes": ["rgb_array"]}

    def __init__(self, render_mode=None):
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
        self.render_mode = render_mode
        self.ale = ale_py.ALEInterface()
        self.ale.setInt("random_seed", next(seeds))
        self.ale.setFloat("repeat_action_probability", 0.0)
        self.ale.loadROM(get_rom_path("pong"))
        self.actions = self.ale.getMinimalActionSet()
        self.action_space = gym.spaces.Discrete(len(self.actions))
        self.observation_space = gym.spaces.Box(0, 255, (*self.ale.getScreenDims(), 3), np.uint8)
        self.reward_range = (-np.inf, np.inf)

    def reset(self, *, seed=None, options=None):
        """Start a new game and return the screen. The seed was set when the game was loaded."""
        del seed, options
        self.ale.reset_game()
        return self.ale.getScreenRGB()

    def step(self, action):
        """Play one frame: returns the screen, the reward, whether the game is over, and extra information."""
        reward = self.ale.act(self.actions[action])
        return self.ale.getScreenRGB(), reward, self.ale.game_over(), {"lives": self.ale.lives()}

    def get_action_meanings(self):
        """Return the names of the actions."""
        return [action.name for action in self.actions]

    def seed(self, seed=None):
        """Set the seed."""
        return [seed]


def zeroed_reset(self):
    """Fill the caches with zeros, so that runs can be compared: LightZero's begin with whatever was in memory."""
    reset_cache(self)
    self._cache.zero_()


def logged_learn(self, data):
    """Record the loss of each iteration."""
    log = forward_learn(self, data)
    losses.append(float(log["weighted_total_loss"]))
    return log


def train_small(configs, *, seed, model_path, max_env_step):
    """Train with LightZero's configuration, made smaller for a CPU."""
    del model_path, max_env_step
    main_config, create_config = configs
    policy, env = main_config.policy, main_config.env
    create_config.env_manager.type = "base"
    env.collector_env_num = policy.collector_env_num = policy.model.world_model_cfg.env_num = ENVIRONMENTS
    env.evaluator_env_num = env.n_evaluator_episode = policy.evaluator_env_num = 1
    env.collect_max_episode_steps = env.eval_max_episode_steps = 60
    policy.model.world_model_cfg.device = "cpu"
    policy.update(
        cuda=False,
        device="cpu",
        num_simulations=int(sys.argv[2]) if len(sys.argv) > 2 else 25,  # noqa: PLR2004  STEPS and SIMULATIONS
        batch_size=4,
        update_per_collect=5,
        train_start_after_envsteps=0,
        replay_buffer_size=10_000,
        eval_freq=1_000_000,
    )
    main_config.exp_name = f"{tempfile.mkdtemp()}/pong"
    train_unizero(configs, seed=seed, max_env_step=int(sys.argv[1]) if len(sys.argv) > 1 else 200)


gym.register("PongNoFrameskip-v4", entry_point=Pong)
Cache.reset, UniZeroPolicy._forward_learn, lzero.entry.train_unizero = zeroed_reset, logged_learn, train_small

configure("PongNoFrameskip-v4", seed=0)

digest = hashlib.sha256(repr(losses).encode()).hexdigest()
print(f"{len(losses)} iterations, last loss {losses[-1]:.6f}, losses sha256 {digest[:16]}")
