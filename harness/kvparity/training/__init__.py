"""kvparity inside real training runs (docs/shadow-training.md, docs/compare-training.md).

- `options`, `limits`: how a training is shadowed, and what the candidate may cost
- `lightzero/`: hearing what LightZero's world models do with their caches
- `inline/`: a candidate that shadows a training inside its process, and the guard around it
- `paired/`: the same training with each cache, and what differs
- `recorder`: recording what world models do, as a trace
- `live`: showing the progress of a training
- `ranks`: adding up the results of several processes
- `script`: running a script as Python does
"""

from kvparity.training.inline.attachment import Attachment, attach
from kvparity.training.limits import Limits
from kvparity.training.options import Options

__all__ = ["Attachment", "Limits", "Options", "attach"]
