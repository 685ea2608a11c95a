"""How commands end."""

PARITY = 0  # GO, too
DIVERGENCE = 1  # one that `--fail-on` counts; NO-GO, too
BAD_INPUT = 2
INTERRUPTED = 3
INCONCLUSIVE = 4
