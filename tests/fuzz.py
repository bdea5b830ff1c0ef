"""Fuzz shipgen for a while: ``python tests/fuzz.py --minutes 30``. A short run is part of the tests."""

from __future__ import annotations

import argparse
import signal

from helpers.fuzzing import FUZZERS, fuzz


def main() -> int:
    # What is started in the background ignores Ctrl-C, and so would all that is started to be interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(FUZZERS)}; or all")
    parser.add_argument("--minutes", type=float, default=5.0, help="in all, shared evenly by the kinds")
    parser.add_argument("--trials", type=int, help="of each kind, in place of a time")
    parser.add_argument("--seed", type=int, default=0, help="of the first trial")
    options = parser.parse_args()
    kinds = options.kinds or list(FUZZERS)
    if unknown := set(kinds) - set(FUZZERS):
        parser.error(f"no kind {unknown.pop()!r}")
    seconds = None if options.trials else 60 * options.minutes / len(kinds)
    wrong = 0
    for kind in kinds:
        outcome = fuzz(kind, first=options.seed, trials=options.trials, seconds=seconds)
        print(f"{kind}: {outcome}", flush=True)  # noqa: T201
        for seed, why in outcome.wrong.items():
            print(f"  {kind} --seed {seed} --trials 1: {why}", flush=True)  # noqa: T201
        wrong += len(outcome.wrong)
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main())
