#!/usr/bin/env bash
# Remake a bundle of the package from nothing: simulate, prepare, train, export.
# Usage: macros/make_bundle.sh NAME WORK    (WORK: a folder for samples and runs, 6 GB; two hours on two cores)
# Needs the extras, in the versions that the bundles were made with:
#     pip install '.[cpu,simulate,train]' -c macros/bundle_versions.txt
# Interrupted, it goes on where it stopped.
set -euo pipefail
name=${1:?"give a bundle: default, ship2018, ship2026 or pythia2018"}
work=${2:?"give a folder for the samples and the runs"}
steps=
# Of samples half as large: a quarter of the time, and classifiers see no more.
shorter="--teachers 2 --teacher-steps 4000 --student-steps 20000"
case $name in
    default) choice="--hadrons data --target ship2025" samples="201:6e6 202:4.5e6" ;;
    ship2018) choice="--hadrons data --target ship2018" samples="301:5e6" steps=$shorter ;;
    ship2026) choice="--hadrons data --target ship2026" samples="401:5e6" steps=$shorter ;;
    # Its rates come out otherwise, by a per cent or two: charm, beauty and J/psi have since become those of the
    # nucleus that is hit and of measurements.
    pythia2018) choice="--hadrons pythia --target ship2018" samples="101:8e6 102:8e6 103:8e6 104:8e6" ;;
    *) echo "no bundle $name: give default, ship2018, ship2026 or pythia2018" >&2; exit 2 ;;
esac
bundle=$(cd "$(dirname "$0")/.." && pwd)/shipgen/bundles/$name
mkdir -p "$work" "$(dirname "$bundle")"

cd "$work"
files=()
for sample in $samples; do
    file=${name}_${sample%:*}.root
    files+=("$file")
    # shellcheck disable=SC2086  # several options
    [ -f "$file" ] || shipgen simulate -o "$file" --muons "${sample#*:}" --seed "${sample%:*}" $choice
done
[ -d "prepared_$name" ] || shipgen prepare "${files[@]}" -o "prepared_$name"
# shellcheck disable=SC2086
shipgen train best "prepared_$name" -o "best_$name" --seed 1 --name "$name" --from none $steps
rm -rf "$bundle"
cp -r "best_$name/bundle" "$bundle"
