#!/usr/bin/env bash
# Remake the default bundle from nothing: simulate, prepare, train, export.
# Usage: macros/make_default_bundle.sh WORK    (a folder for sample and run; about a quarter of an hour on two cores)
# Needs the extras: pip install '.[cpu,simulate,train]'
set -euo pipefail
work=${1:?"give a folder for the sample and the run"}
bundle=$(cd "$(dirname "$0")/.." && pwd)/shipgen/bundles/default
mkdir -p "$work" "$(dirname "$bundle")"

cd "$work"
shipgen simulate -o sample.root --muons 1.5e6 --seed 20261121
shipgen prepare sample.root -o prepared
# One thread each: the result of a training depends, in the last bits, on the number of threads.
# Short: with the published losses these networks are best early, see "How faithful" in the README.
for charge in muplus muminus; do
    shipgen train gan prepared -o run --category ${charge}_offaxis --category ${charge}_onaxis \
        --steps 7000 --threads 1 --seed 1 &
done
wait
shipgen export run -o "$bundle" --force --name default
