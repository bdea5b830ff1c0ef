#!/usr/bin/env python3
r"""Put shipgen's muon source into a copy of a FairShip macro: in place of its generator, or beside it.

Usage: use_muon_source.py $FAIRSHIP/macro/run_fixedTarget.py -o run_muons.py
       use_muon_source.py $FAIRSHIP/macro/run_fixedTarget.py -o run_muons.py \
           --source 'seed=seed, smear_beam=args.beam_smear * u.mm, paint_beam=args.beam_paint * u.mm'
       use_muon_source.py $FAIRSHIP/macro/run_simScript.py -o run_both.py --beside \
           --source 'seed=1, pot_per_event=1e4'

The changed lines are printed; `docs/fairship.md` explains them. A macro that has other lines than those known
is refused, and what to change by hand is named.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from pathlib import Path

#: What makes the source; `{options}` are those of `shipgen.fairship.muon_source`.
MAKE = """\
from shipgen.fairship import muon_source

muon_generator = muon_source({options})
# FairRoot would go on, and end with success at the first event.
if not muon_generator.Init():
    raise SystemExit(1)
primGen.AddGenerator(muon_generator)
"""

#: The protons on target that the events stand for.
POT = "muon_generator.muons.pot"

#: (what it is, lines to find, what they become) of run_fixedTarget.py, in the order of the macro.
REPLACE = (
    (
        "the fixed target's generator, from where it is made to AddGenerator",
        r"^P8gen = ROOT\.FixedTargetGenerator\(\)\n(?:.*\n)*?primGen\.AddGenerator\(P8gen\)\n",
        MAKE,
    ),
    (
        "decays to two muons, which Geant4 takes from that generator's Pythia",
        r"^(?:import AddDiMuonDecayChannelsToG4\n\n?)?AddDiMuon\w+\.Initialize\(P8gen\.GetPythia\(\)\)\n",
        "",
    ),
    ("the POT of charm and beauty", r"\bP8gen\.GetPotForCharm\(\)", POT),
    (
        "the POT in the file's header",
        r"""^( +info = )(?:f"POT = \{args\.nev\}"|"POT = "\s*\+\s*str\(args\.nev\))\n""",
        rf'\1f"POT = {{{POT}:.6g}}"' + "\n",
    ),
)
BESIDE = (("where the primary generator is handed over", r"^(run\.SetGenerator\(primGen\)\n)", MAKE + r"\1"),)


def edit(macro: str, options: str, *, beside: bool) -> str:
    """Return the macro's text with the source; exit where it is not the one known."""
    for what, pattern, line in BESIDE if beside else REPLACE:
        text = line.replace("{options}", options.replace("\\", r"\\"))
        macro, found = re.subn(pattern, text, macro, flags=re.MULTILINE)
        if found != 1:
            sys.exit(
                f"found {found} times, not once: {what}. Change this macro by hand, see docs/fairship.md"
            )
    left = [line.strip() for line in macro.splitlines() if re.search(r"\bP8gen\b", line)]
    if left and not beside:
        sys.exit(f"P8gen is also used in `{left[0]}`: change this macro by hand, see docs/fairship.md")
    return macro


def main() -> None:
    """Read the arguments, write the copy, print the difference."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("macro", type=Path)
    parser.add_argument("--beside", action="store_true", help="keep the macro's generators")
    parser.add_argument("--source", help="options of muon_source; 'seed=seed' (the macro's) if not given")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    if options.beside and options.source is None:
        parser.error("--beside needs --source, such as 'seed=1, pot_per_event=1e4'")
    try:
        old = options.macro.read_text(encoding="utf-8")
        new = edit(old, options.source or "seed=seed", beside=options.beside)
        # Never over a file that is there.
        with options.output.open("x", encoding="utf-8") as file:
            file.write(new)
    except (OSError, UnicodeDecodeError) as error:
        sys.exit(f"{parser.prog}: {error}")
    difference = difflib.unified_diff(
        old.splitlines(), new.splitlines(), str(options.macro), str(options.output), n=1, lineterm=""
    )
    print("\n".join(difference))


if __name__ == "__main__":
    main()
