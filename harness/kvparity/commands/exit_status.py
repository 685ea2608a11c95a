"""The exit statuses of commands."""

PARITY = 0  # also GO
DIVERGENCE = 1  # one that `--fail-on` counts; also NO-GO
BAD_INPUT = 2
INTERRUPTED = 3
INCONCLUSIVE = 4
