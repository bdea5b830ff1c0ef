#!/usr/bin/env bash
# Compare the default bundle with a reference and put the pictures of docs/explanation/validation.md into docs/pictures/.
# Usage: macros/validate_default_bundle.sh REFERENCE REPORT
# REFERENCE: a sample that the bundle did not learn from, or the prepared sample, whose held-out parts are taken.
# REPORT: the folder to make. The table that docs/explanation/validation.md shows goes to the terminal.
# MUONS (8e6) and CAP (250000) of the environment: muons made, and drawn a category for classifiers.
set -euo pipefail
reference=${1:?"give the reference: a file of shipgen simulate, or a prepared sample"}
report=${2:?"give a folder for the report"}
pictures=$(cd "$(dirname "$0")/.." && pwd)/docs/pictures

shipgen validate default "$reference" -o "$report" --muons "${MUONS:-8e6}" --cap "${CAP:-250000}" --seed 1
for name in rates muplus_offaxis_distributions muplus_offaxis_tails muplus_offaxis_classifiers; do
    # Of 256 colours: a third of the size.
    python3 -c 'import sys; from PIL import Image; Image.open(sys.argv[1]).convert("RGB").quantize(256).save(sys.argv[2], optimize=True)' \
        "$report/pictures/$name.png" "$pictures/validation_$name.png"
done
cp "$report/pictures/uncertainty.png" "$pictures/networks_uncertainty.png"
