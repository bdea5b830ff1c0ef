#!/usr/bin/env bash
# Remake the default bundle from nothing: simulate, prepare, train, export.
# Usage: macros/make_default_bundle.sh WORK    (a folder for sample and run; about two hours on two cores)
# Needs the extras: pip install '.[cpu,simulate,train]'
set -euo pipefail
work=${1:?"give a folder for the sample and the run"}
bundle=$(dirname "$0")/../shipgen/bundles/default
mkdir -p "$work"

shipgen simulate -o "$work/sample.root" --muons 3e6 --seed 20261121
shipgen prepare "$work/sample.root" -o "$work/prepared"
shipgen train gan "$work/prepared" -o "$work/run" --steps 300000 --seed 1
shipgen export "$work/run" -o "$bundle" --force --name default
