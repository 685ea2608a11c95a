"""`kvparity bench`: what caches cost, side by side, and which pool sizes a workload needs.

Measuring (`measure`, `timing`, `counting`, `memory`, `conditions`), what it came to (`result`, `estimate`), keeping it
(`storage`, `against`) and showing it (`tables`, `curves`) are apart; `sweep` needs no cache and no clock.
"""
