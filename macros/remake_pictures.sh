#!/usr/bin/env bash
# Remake the pictures of docs/ that are drawn from muons, all but those of times.
# Usage: macros/remake_pictures.sh SAMPLE WORK [TARGETS] [SIMULATION]
# SAMPLE: a file of shipgen simulate that the default bundle did not learn from, with the bundle's target and hadrons.
# WORK: a folder for files; what is there is taken, so that the next run is shorter.
# TARGETS: a file of another target, for its starts along z.
# SIMULATION: the file whose numbers are in docs/explanation/simulation.md; SAMPLE if not given.
# MUONS (3e6) and CAP (100000) of the environment: muons made, and drawn a category for classifiers.
set -euo pipefail
sample=$(realpath "${1:?"give a file of shipgen simulate"}")
work=${2:?"give a folder for files"}
targets=${3:-}
simulation=${4:-$sample}
muons=${MUONS:-3e6}
macros=$(cd "$(dirname "$0")" && pwd)
pictures=$(dirname "$macros")/docs/pictures
mkdir -p "$work"

# Of 256 colours: a third of the size.
smaller() {
    python3 -c 'import sys; from PIL import Image; Image.open(sys.argv[1]).convert("RGB").quantize(256).save(sys.argv[2], optimize=True)' "$1" "$2"
}

[ -f "$work/muons.root" ] || shipgen produce -n "$muons" --seed 1 -o "$work/muons.root"
shipgen plot "$work/muons.root" "$sample" -o "$work/default_bundle.png" --name "default bundle" --name simulation --force
smaller "$work/default_bundle.png" "$pictures/default_bundle.png"

[ -d "$work/high_pt" ] || shipgen enhance --region "pt > 1.85" -o "$work/high_pt"
python3 "$macros/plot_enhanced.py" "$work/high_pt" "$work/enhance_high_pt.png" "$muons"
smaller "$work/enhance_high_pt.png" "$pictures/enhance_high_pt.png"
[ -d "$work/study" ] || shipgen latent "$work/high_pt" -o "$work/study" --category muplus_offaxis
smaller "$work/study/muplus_offaxis.png" "$pictures/latent_high_pt.png"
smaller "$work/study/muplus_offaxis_effects.png" "$pictures/latent_effects.png"

rm -rf "$work/report"
MUONS=$muons CAP=${CAP:-100000} "$macros/validate_default_bundle.sh" "$sample" "$work/report"

python3 "$macros/plot_simulation.py" "$simulation" -o "$pictures"
if [ -n "$targets" ]; then
    python3 "$macros/plot_simulation.py" "$targets" -o "$work/targets"
    cp "$work/targets/simulation_z.png" "$pictures/simulation_z_2025.png"
fi
for picture in "$pictures"/simulation_*.png; do
    smaller "$picture" "$picture"
done
