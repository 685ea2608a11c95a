"""A training of two ranks under torchrun, as the files of it."""

WORLD_MODEL = """
from support.worldmodels import ReleasedModel

class WorldModel(ReleasedModel):
    def forward_initial_inference(self):
        self.clear_caches()
"""
TRAIN = """
import os, signal
import torch.distributed as dist
from lzero.model.unizero_world_models.world_model import WorldModel

dist.init_process_group("gloo")
rank, model = dist.get_rank(), WorldModel()
for step in range(10):
    model.forward_initial_inference()
    model.set_recur(step, float(step + rank))
    model.search(0, step)
    {middle}
    dist.barrier()
dist.destroy_process_group()
"""
