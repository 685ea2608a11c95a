"""The rules of the comparison, and how each is taken out of the code: what `benchmarks/rules.py` goes through."""

from __future__ import annotations

from dataclasses import dataclass

MIRROR, JUDGE, ORACLE = (
    "harness/kvparity/shadow/mirror.py",
    "harness/kvparity/judging/judge.py",
    "harness/kvparity/judging/oracle.py",
)
EXAMINING, PENDING, MULTILINEAR = (
    "harness/kvparity/judging/examiner.py",
    "harness/kvparity/shadow/queue.py",
    "harness/kvparity/values/checksums.py",
)
LENDING, HANDOVER = "harness/kvparity/shadow/loans.py", "harness/kvparity/shadow/producer.py"
VALUES, FINGERPRINTS = "harness/kvparity/values/entry.py", "harness/kvparity/values/fingerprints.py"
SIDE, DIVERGENCE = "harness/kvparity/shadow/side.py", "harness/kvparity/results/divergence.py"

HELD = ("row", "apart", "upstream")  # how an entry's tensors are held, in tests


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        name: what it asks for.
        fault: what only it catches.
        file: where it is.
        changes: texts that occur once there, and what stands in their place when the rule is removed.
        tests: `module::test` in `tests/`, without `test_`; each fails without the rule.
    """

    name: str
    fault: str
    file: str
    changes: tuple[tuple[str, str], ...]
    tests: tuple[str, ...]

    @property
    def nodes(self) -> list[str]:
        """The tests as pytest names them."""
        return [f"tests/test_{module}.py::test_{test}" for module, test in (each.split("::", 1) for each in self.tests)]


RULES = (
    # ---------------------------------------------------------------- bytes
    Rule(
        "the candidate's bytes are the last ones set",
        "an update that does not take (`KeepsTheFirstValue`, `keeps-old-value-on-update`)",
        EXAMINING,
        (("        and its.fingerprint == last.fingerprint\n", ""),),
        (
            "shadow_content::an_old_value_is_stale",
            "faults::a_fault_is_found_and_blamed[keeps-old-value-on-update-revisit]",
        ),
    ),
    Rule(
        "so are the reference's",
        "the same fault on the side that serves",
        EXAMINING,
        (("        and mine.fingerprint == last.fingerprint\n", ""),),
        ("shadow_content::a_reference_at_fault_is_blamed",),
    ),
    Rule(
        "both are held to the truth, not to each other",
        "two caches with the same fault",
        EXAMINING,
        (
            ("        and mine.fingerprint == last.fingerprint\n", "        and mine.fingerprint == its.fingerprint\n"),
            ("        and its.fingerprint == last.fingerprint\n", ""),
        ),
        ("shadow_content::two_sides_that_are_wrong_alike_are_both_blamed",),
    ),
    Rule(
        "a clear makes every earlier value wrong",
        "keys that survive a clear (`ClearsNothing`, `clear-keeps-newest`)",
        ORACLE,
        (("        self.last_set.clear()\n        self.cleared = number\n", "        self.cleared = number\n"),),
        (
            "shadow_content::a_hit_after_a_clear_is_stale",
            "faults::a_fault_is_found_and_blamed[clear-keeps-newest-clear-storm]",
        ),
    ),
    Rule(
        "bytes count, not numbers",
        "one zero for both (`KeepsNegativeZeroOut`)",
        FINGERPRINTS,
        (("    return tensor.numpy()\n", "    return tensor.numpy() + tensor.numpy().dtype.type(0)\n"),),
        ("shadow_content::bytes_are_compared_and_all_of_them[KeepsNegativeZeroOut]",),
    ),
    Rule(
        "padding counts",
        "zeros after the last valid token (`ForgetsThePadding`)",
        FINGERPRINTS,
        (
            ("    view = _remember(value, tensors)\n", "    view = None\n"),
            (
                "    if tensors and tensors[0].nbytes <= _STACK_BYTES",
                "    if False and tensors[0].nbytes <= _STACK_BYTES",
            ),
            (
                "    for part in memory:\n        digest.update(raw_bytes(part))\n",
                (
                    "    for part, size in zip(memory, sizes * len(memory)):\n"
                    "        digest.update(raw_bytes(part[..., :size, :]))\n"
                ),
            ),
            (
                "        return self._row[1].digest(tuple(sizes)), _CPU\n",
                "        return _hashed(list(row), [row], tuple(sizes)), _CPU\n",
            ),
        ),
        ("shadow_content::bytes_are_compared_and_all_of_them[ForgetsThePadding]",),
    ),
    Rule(
        "shapes count",
        "right bytes without the axis of samples (`DropsAnAxis`)",
        FINGERPRINTS,
        (('f"{dtype},{tuple(shape)}"', 'f"{dtype}"'),),
        ("shadow_content::tensors_of_another_kind_say_so[DropsAnAxis-shape]",),
    ),
    Rule(
        "dtypes count",
        "right bytes as integers (`Reinterprets`)",
        FINGERPRINTS,
        (('f"{dtype},{tuple(shape)}"', 'f"{tuple(shape)}"'),),
        ("shadow_content::tensors_of_another_kind_say_so[Reinterprets-dtype]",),
    ),
    Rule(
        "sizes count",
        "right tensors with another number of valid tokens (`ForgetsTheSize`, `forgets-sizes`)",
        FINGERPRINTS,
        (('f"{kind},{size}"', 'f"{kind}"'),),
        ("shadow_content::tensors_of_another_kind_say_so[ForgetsTheSize-size]",),
    ),
    Rule(
        "the candidate's device is that of the value set",
        "right bytes on another device (`AnswersFromElsewhere`)",
        EXAMINING,
        (("        and its.device == last.device\n", ""),),
        ("shadow_content::right_bytes_on_another_device_are_found",),
    ),
    Rule(
        "so is the reference's",
        "the same fault on the side that serves",
        EXAMINING,
        (("        and mine.device == last.device\n", ""),),
        ("shadow_content::a_reference_that_answers_from_another_device_is_found",),
    ),
    Rule(
        "all tensors are on that device",
        "an answer of which one tensor stayed elsewhere",
        VALUES,
        (("    return device if all(same) else None\n", "    return device\n"),),
        tuple(f"shadow_content::one_tensor_on_another_device_is_found[{at}]" for at in (1, 2, 3)),
    ),
    Rule(
        "the kind of a divergence names shape, dtype and device",
        "`Casts`, `Pads`, wrong bytes on another device",
        JUDGE,
        (('difference.kind in ("shape", "dtype", "device")', "difference.kind in ()"),),
        (
            "shadow_content::tensors_of_another_kind_say_so[Casts-dtype]",
            "shadow_content::tensors_of_another_kind_say_so[Pads-shape]",
            "shadow_content::wrong_bytes_on_another_device_say_so",
        ),
    ),
    Rule(
        "it names the size, where the tensors are equal",
        "`ForgetsTheSize`",
        JUDGE,
        (('difference.kind == "size" and self._same_tensors(lookup)', "False"),),
        ("shadow_content::tensors_of_another_kind_say_so[ForgetsTheSize-size]",),
    ),
    Rule(
        "a tolerance is for the candidate only, and only where the reference is right",
        "two caches that are close to each other and both wrong",
        JUDGE,
        (
            (
                "        if its.verdict == STALE and self._tolerance is not None:\n",
                (
                    "        if _compared(*lookup.outcomes, tolerance=self._tolerance) is None:\n"
                    "            return\n"
                    "        if False:\n"
                ),
            ),
        ),
        ("shadow_content::a_tolerance_excuses_no_wrong_reference",),
    ),
    Rule(
        "within a tolerance, a value beside which there is no right one is not known to be wrong",
        "a sound candidate that rounds, beside a reference that lost the key",
        JUDGE,
        (("        return Finding(RIGHT, ideal if ideal in held else held[0])\n", "        return candidate\n"),),
        ("shadow_content::within_a_tolerance_a_value_without_a_right_one_beside_it_is_not_blamed",),
    ),
    Rule(
        "what both sides refused is as it was, or unknown",
        "two sound caches whose slots are of one shape",
        EXAMINING,
        (
            (
                "                self._truth.pools[pool].forget(key)  # both refused it",
                "                pass  # both refused it",
            ),
        ),
        ("shadow_presence::after_what_both_sides_refused_they_are_held_against_each_other",),
    ),
    Rule(
        "a size is an integer, and not what is equal to one",
        "a number with a point, which the model would slice with",
        FINGERPRINTS,
        (("    if {*map(type, sizes)} != _INTEGERS:\n", "    if False:\n"),),
        ("shadow_content::a_size_that_is_no_integer_is_no_size[1.0]",),
    ),
    Rule(
        "a tensor that was looked at before must have the same memory, in the same order",
        "one that is turned in place, or given other memory",
        FINGERPRINTS,
        (
            ("                or not k.is_set_to(k_was)\n", ""),
            ("                or not v.is_set_to(v_was)\n", ""),
        ),
        (
            *(f"fingerprints::a_tensor_that_is_turned_in_place_is_noticed[later look-{held}]" for held in HELD),
            "fingerprints::new_memory_behind_the_same_tensor_is_noticed[later look]",
        ),
    ),
    Rule(
        "and numbers of the same type",
        "the same bytes as integers, under the same tensor",
        FINGERPRINTS,
        (("                or k.dtype is not k_dtype\n", ""), ("                or v.dtype is not v_dtype\n", "")),
        tuple(f"fingerprints::the_same_memory_of_another_kind_is_noticed[later look-dtype-{held}]" for held in HELD),
    ),
    # ---------------------------------------------------------------- on a device
    Rule(
        "a checksum sees words that changed places",
        "two tokens that were written into each other's places",
        MULTILINEAR,
        (("block * weights[:, : block.shape[2]]", "block * weights[:, :1]"),),
        ("multilinear::words_that_changed_places_show", "multilinear::two_flipped_sign_bits_do_not_cancel_out"),
    ),
    Rule(
        "and blocks of words",
        "the same in a tensor of many tokens",
        MULTILINEAR,
        (("            out.mul_(_STEP).add_(", "            out.add_("),),
        ("multilinear::blocks_that_changed_places_show",),
    ),
    Rule(
        "no lookup waits for a device",
        "a training that is many times slower in its shadow",
        PENDING,
        (("        if not pending or pending >= ", "        if True or pending >= "),),
        (
            "pending::no_get_waits_and_a_batch_is_one_transfer[100]",
            "pending::memory_that_nobody_can_read_is_not_read",
        ),
    ),
    Rule(
        "what waits is examined when somebody asks for what was found",
        "a wrong answer in the last hundred lookups",
        MIRROR,
        (('        """The divergences of all operations so far."""\n        self.settle()\n', '        """."""\n'),),
        (
            "pending::a_divergence_is_told_when_somebody_asks",
            "pending::what_tensors_are_like_is_remembered[Casts-dtype]",
        ),
    ),
    # ---------------------------------------------------------------- no truth
    Rule(
        "two values of which none is known to be right must be equal",
        "another value from before the first operation that was seen",
        JUDGE,
        (('            kind, what = difference.kind, "both sides hit and differ"\n', "            return\n"),),
        ("shadow_content::without_a_truth_two_values_differ_and_nobody_is_blamed",),
    ),
    Rule(
        "a key that may have been set before blames nobody",
        "a candidate attached later, which cannot hold it",
        JUDGE,
        (("return Finding(STALE if all(known) else UNKNOWN)", "return Finding(STALE)"),),
        tuple(
            f"shadow_content::without_a_truth_an_entry_of_one_side_alone_blames_nobody[{lookup}]"
            for lookup in ("get", "checkout")
        ),
    ),
    Rule(
        "after a clear every key is known",
        "a value from before the first operation that was seen, returned after a clear",
        ORACLE,
        (("        self.complete = True\n", ""),),
        ("shadow_content::a_clear_makes_the_truth_complete",),
    ),
    Rule(
        "what the oracle has forgotten it calls unknown",
        "a right answer for a key set 65,536 sets ago",
        ORACLE,
        (("            self.complete = False\n", ""),),
        ("oracle::memory_is_bounded_and_what_is_forgotten_is_unknown[4-65536]",),
    ),
    # ---------------------------------------------------------------- errors
    Rule(
        "a lookup in which one side raises is an error of that side",
        "`Raises`, `raises-now-and-then`",
        JUDGE,
        (
            (
                "self.errors(lookup.number, lookup.operation, *(outcome.error for outcome in lookup.outcomes))",
                "pass",
            ),
        ),
        ("shadow_presence::one_side_that_raises_is_blamed", "shadow_presence::both_raising_alike_is_agreement"),
    ),
    Rule(
        "so is a set",
        "`RaisesOnSet`",
        EXAMINING,
        (
            (
                "            self.judge.errors(number, Set(pool=pool, key=key, value=None), mine, its)\n",
                "            pass\n",
            ),
        ),
        ("shadow::an_exception_of_the_candidate_is_told_and_kept_from_the_caller[set]",),
    ),
    Rule(
        "so is a clear",
        "`RaisesOnClear`",
        EXAMINING,
        (("            self.judge.errors(number, Clear(pool=pool), mine, its)\n", "            pass\n"),),
        ("shadow::an_exception_of_the_candidate_is_told_and_kept_from_the_caller[clear]",),
    ),
    Rule(
        "two errors agree only where they are of one type",
        "`Raises` beside `RaisesKeyError`",
        JUDGE,
        (("        if type(mine) is type(its):\n", "        if (mine is None) == (its is None):\n"),),
        ("shadow_presence::both_raising_differently_blames_both",),
    ),
    Rule(
        "what is no entry is an error",
        "`ReturnsRubbish`, `lends-false`",
        SIDE,
        (
            (
                (
                    "whatever it returns\n"
                    "            return Outcome(value, error=_what_is_wrong_with(value) or self._kept(error))"
                ),
                (
                    "whatever it returns\n"
                    "            return MISS if error else Outcome(value, error=_what_is_wrong_with(value) or error)"
                ),
            ),
        ),
        (
            "shadow_presence::rubbish_is_told_from_an_exception",
            "faults::a_fault_is_found_and_blamed[lends-false-clear-storm]",
        ),
    ),
    # ---------------------------------------------------------------- presence
    Rule(
        "what one side holds, the other holds",
        "`AlwaysMisses`",
        EXAMINING,
        (("        return mine.fingerprint is its.fingerprint and mine", "        return mine"),),
        ("shadow_presence::a_side_that_lost_a_key_is_blamed",),
    ),
    Rule(
        "who left the ideal of its own strategy is wrong, not who missed",
        "a side that holds too much; two strategies that differ by design",
        JUDGE,
        (("            if (found.source == pool) != (ideal == pool)\n", "            if found.source != pool\n"),),
        ("shadow_presence::a_side_that_keeps_too_much_is_blamed", "shadow_presence::two_strategies_differ_by_design"),
    ),
    Rule(
        "each side has an ideal of its own where their strategies differ",
        "FIFO beside LRU",
        EXAMINING,
        (("        shared = its.strategies == mine.strategies\n", "        shared = True\n"),),
        ("shadow_presence::two_strategies_differ_by_design",),
    ),
    Rule(
        "a checkout is answered from the pool that the ideal has the key in",
        "a key lost in the init pool, and found in recur with another value",
        JUDGE,
        ((" or mine.source != its.source:\n", ":\n"),),
        ("shadow_presence::a_checkout_from_the_other_pool_is_a_difference_of_presence",),
    ),
    # ---------------------------------------------------------------- lent and given
    Rule(
        "working copies are written into",
        "a working copy that is the entry (`LendsTheEntry`, `working-copy-is-entry`)",
        MIRROR,
        (("            scribble(working_copy, turn)\n", ""),),
        ("shadow_lending::an_entry_that_is_its_own_working_copy_is_found",),
    ),
    Rule(
        "one that cannot be written into is an error",
        "`LendsFrozenSizes`",
        EXAMINING,
        (
            (
                "        self.judge.errors(number, Write(env=env, fill=0), None, error)",
                "        del error",
            ),
        ),
        ("shadow_lending::a_working_copy_that_cannot_be_written_into_is_found",),
    ),
    Rule(
        "a working copy stays its consumer's for `env_num` checkouts",
        "`SharesOneWorkingCopy`",
        EXAMINING,
        (("            self.judge.working_copy(number, env, key, self._env_num)\n", "            pass\n"),),
        (
            "shadow_lending::a_working_copy_that_is_shared_is_found[2]",
            "shadow_lending::a_working_copy_that_is_shared_is_found[8]",
            "shadow_lending::a_working_copy_is_watched_through_clears_of_other_pools",
        ),
    ),
    Rule(
        "and no longer",
        "a sound cache that takes it back then",
        LENDING,
        (("turn < watched.until", "turn <= watched.until"),),
        ("shadow::a_sound_cache_may_take_back_what_it_lent[EvictingCache]",),
    ),
    Rule(
        "a clear of wm takes working copies back",
        "a sound cache that uses the slot at once",
        MIRROR,
        (("        if WM in pools:\n            self._lending.forget_working_copy()\n", ""),),
        tuple(f"shadow_lending::a_clear_of_wm_takes_working_copies_back[{pool}]" for pool in ("pool0", "pool1")),
    ),
    Rule(
        "so does a set in wm",
        "a sound cache that takes any slot for it",
        MIRROR,
        (("        if pool == WM:\n            self._lending.forget_working_copy()\n", ""),),
        ("shadow_lending::a_set_in_wm_takes_working_copies_back",),
    ),
    Rule(
        "a loan stays as it is until the next set of its pool",
        "`lends-one-buffer`",
        MIRROR,
        (("        self._lending.loan_ends((pool,))\n", "        self._lending._loan = None\n"),),
        (
            "shadow_lending::a_loan_that_the_next_lookup_overwrites_is_found",
            "faults::a_fault_is_found_and_blamed[lends-one-buffer-mcts]",
        ),
    ),
    Rule(
        "or until the next clear of its pool",
        "the same, where nothing is set before the clear",
        MIRROR,
        (("        self._lending.loan_ends(pools)\n", "        self._lending._loan = None\n"),),
        tuple(f"shadow_lending::a_loan_is_watched_until_its_pool_is_cleared[{pool}]" for pool in ("pool0", "pool1")),
    ),
    Rule(
        "what was lent from wm is good until the next checkout only",
        "a sound cache that uses the slot then",
        LENDING,
        ((" and answer.fingerprint is not None and pool != WM:", " and answer.fingerprint is not None:"),),
        ("shadow::what_was_lent_from_wm_may_be_overwritten_by_checkouts",),
    ),
    Rule(
        "what is given to be copied is not written into",
        "`WritesIntoWhatItIsGiven`, `writes-into-source`",
        EXAMINING,
        (("            self.judge.source(number, pool, key)\n", "            pass\n"),),
        (
            "shadow::a_candidate_cannot_spoil_what_the_caller_sets",
            "faults::a_fault_is_found_and_blamed[writes-into-source-mcts]",
        ),
    ),
    Rule(
        "the candidate is given a copy",
        "one that writes into it would spoil the caller's",
        MIRROR,
        (("return given.value, self._fingerprints.look_at_row", "return value, self._fingerprints.look_at_row"),),
        ("shadow::a_candidate_cannot_spoil_what_the_caller_sets",),
    ),
    Rule(
        "in an object that is put together again before each set",
        "`TakesApartWhatItIsGiven`, for which the reference would be blamed",
        HANDOVER,
        (
            ("        self.value._keys_values = self._layers\n", ""),
            ("            layer._k_cache, k._cache, k._size = k, k_tensor, next(lengths)\n", ""),
            ("            layer._v_cache, v._cache, v._size = v, v_tensor, next(lengths)\n", "            pass\n"),
        ),
        tuple(
            f"shadow::a_candidate_that_takes_apart_what_it_is_given_is_found[{harm}]"
            for harm in ("no layers", "no structure", "more layers", "one for both", "no K")
        ),
    ),
    Rule(
        "and that is overwritten by the next set, as a producer's is",
        "`ByReference`, `KeepsTensors`, `detach-taken-for-copy`",
        HANDOVER,
        (
            ("earlier is not None and earlier.takes(tensors, sizes)", "False"),
            ("                earlier.spoil()\n", "                pass\n"),
        ),
        (
            "shadow_lending::references_to_the_producers_object_are_found_at_once[ByReference]",
            "shadow_lending::references_to_the_producers_object_are_found_at_once[KeepsTensors]",
            "faults::a_fault_is_found_and_blamed[by-reference-mcts]",
            "faults::a_fault_is_found_and_blamed[detach-taken-for-copy-mcts]",
        ),
    ),
    Rule(
        "or spoilt, where the next value is of another kind",
        "`ByReference`, where each value has a shape of its own",
        HANDOVER,
        (("                earlier.spoil()\n", "                pass\n"),),
        ("shadow_lending::references_are_found_where_the_next_value_is_of_another_kind",),
    ),
    Rule(
        "a value is handed over in its own memory layout",
        "`reads-memory-in-order`",
        HANDOVER,
        (
            (" or not tensor.is_contiguous():\n", ":\n"),
            ("    if all(in_order) or len(in_order) < len(tensors):\n", "    if in_order is not None:\n"),
        ),
        (
            "shadow_lending::a_value_is_handed_over_in_its_own_memory_layout",
            "faults::a_fault_is_found_and_blamed[reads-memory-in-order-numeric-edge]",
        ),
    ),
    # ---------------------------------------------------------------- statistics
    Rule(
        "hits are counted right",
        "`Counts` with hits that were not",
        JUDGE,
        (('{"hits": _only(seen.hits), "misses": _only(seen.misses)}', '{"misses": _only(seen.misses)}'),),
        ("judge::a_count_that_cannot_be_told_from_outside_is_not_held_against_a_side[lost_track2-deviated2-told2]",),
    ),
    Rule(
        "misses are",
        "`forgets-misses`",
        JUDGE,
        (('{"hits": _only(seen.hits), "misses": _only(seen.misses)}', '{"hits": _only(seen.hits)}'),),
        ("judge::a_wrong_count_is_told_whole", "faults::a_fault_is_found_and_blamed[forgets-misses-mcts]"),
    ),
    Rule(
        "evictions are",
        "`counts-updates-as-evictions`, `forgets-evictions`",
        JUDGE,
        (('"evictions": _only(perfect.evictions), "length"', '"length"'),),
        (
            "judge::a_wrong_count_of_the_reference_is_told_of_the_reference",
            "faults::a_fault_is_found_and_blamed[counts-updates-as-evictions-clear-storm]",
        ),
    ),
    Rule(
        "the length is",
        "`length-is-capacity`",
        JUDGE,
        ((', "length": _only(len(perfect))}', "}"),),
        ("faults::a_fault_is_found_and_blamed[length-is-capacity-mcts]",),
    ),
    Rule(
        "a pool holds no more than it has slots, even where it left its strategy",
        "`Counts` of a side that strayed, with a length beyond them",
        JUDGE,
        (('possible = {"length": range(side.spec.slots(pool) + 1)}', "possible: dict[str, range] = {}"),),
        tuple(f"judge::no_pool_holds_more_than_it_has_slots[{case}]" for case in ("-1-True", "5-True")),
    ),
    Rule(
        "statistics that raise are told",
        "`statistics-raise`",
        JUDGE,
        (
            (
                'counted=raised, right="an answer is right")',
                'counted=raised, right="an answer is right") if not raised else None',
            ),
        ),
        (
            "judge::statistics_that_raise_hide_no_wrong_count_of_another_pool",
            "faults::a_fault_is_found_and_blamed[statistics-raise-cartpole-unizero]",
        ),
    ),
    Rule(
        "statistics are checked during a run",
        "counters that are wrong for a while",
        MIRROR,
        (("            self.check_stats()\n", ""),),
        ("shadow_statistics::statistics_are_checked_during_a_long_run",),
    ),
    Rule(
        "hits and misses are not checked where track of them was lost",
        "a sound count beside wrong bytes",
        JUDGE,
        (("                if pool not in side.lost_track:\n", "                if True:\n"),),
        ("judge::a_count_that_cannot_be_told_from_outside_is_not_held_against_a_side[lost_track1-deviated1-told1]",),
    ),
    Rule(
        "evictions and length are not checked of who left its strategy",
        "two sides that hold one key fewer and say so",
        EXAMINING,
        (
            (
                (
                    "                if hit != (ideally is not None):  # both left their ideal alike\n"
                    "                    side.deviated.add(pool)\n"
                ),
                "",
            ),
        ),
        ("shadow_statistics::sides_that_leave_their_strategy_alike_are_not_called_liars[get]",),
    ),
    Rule(
        "nothing is checked where nobody can tell which pool answered",
        "`checkout-prefers-recur`, where both hold the same bytes",
        EXAMINING,
        (("                self._note_ambiguity(init(env), key, last)\n", "                pass\n"),),
        ("shadow_statistics::counters_are_not_checked_where_nobody_can_tell_which_pool_answered",),
    ),
    # ---------------------------------------------------------------- what is known
    Rule(
        "corruption is never known unless that is said",
        "a pattern that matches everything",
        DIVERGENCE,
        (("(divergence.severity == BEHAVIOUR or self.corruption)", "True"),),
        ("divergence::corruption_is_accepted_only_where_that_is_said[stale_hit]",),
    ),
    Rule(
        "a known difference is one side's",
        "the same difference, with another side to blame",
        DIVERGENCE,
        (('            and self.side in (divergence.wrong, "any")\n', ""),),
        ("divergence::the_wrong_side_must_be_the_one_named[candidate]",),
    ),
    Rule(
        "it ends on its last day",
        "the same difference a day later",
        DIVERGENCE,
        (("            and (self.until is None or today <= self.until)\n", ""),),
        ("divergence::a_difference_is_accepted_up_to_and_on_its_last_day[-1-False]",),
    ),
)
