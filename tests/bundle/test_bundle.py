from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from helpers.bundles import RATES, edit_index, write_test_bundle
from shipgen.bundle.bundle import DEFAULT_BUNDLE, Bundle
from shipgen.describe.describe import describe_bundle
from shipgen.errors import BundleError
from shipgen_export.graphs.agreement import STEEP_TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def copy(bundle: Bundle, tmp_path: Path) -> Path:
    return shutil.copytree(bundle.path, tmp_path / "copy")


def test_reads_what_was_written(bundle: Bundle) -> None:
    again = Bundle.open(bundle.path)
    assert again == bundle
    assert again.rate == pytest.approx(sum(RATES.values()))
    assert [entry.category.number for entry in again.entries] == [1, 2, 3, 4]


@pytest.mark.parametrize("which", ["known", "default"])
def test_one_other_digit_is_noticed(bundle: Bundle, tmp_path: Path, which: str) -> None:
    """A rate that is read as another one would be the wrong number of muons, and nothing would say so."""
    folder = shutil.copytree(bundle.path if which == "known" else DEFAULT_BUNDLE, tmp_path / "copy")
    whole = (folder / "bundle.json").read_text()
    opened = Bundle.open(folder)
    assert json.loads(whole)["seal"] == opened.sha256
    for place, added in (('"rate": 0.0001', "1"), ('"seal": "', "0"), ('"label": "', "A"), ('"x":', " ")):
        (folder / "bundle.json").write_text(whole.replace(place, place + added, 1))
        with pytest.raises(BundleError, match=r"seal does not fit: .*, remove the line \"seal\" from it"):
            Bundle.open(folder)
    (folder / "bundle.json").write_text(json.dumps(json.loads(whole)))
    with pytest.raises(BundleError, match="seal does not fit"):
        Bundle.open(folder)


def test_a_bundle_without_a_seal_is_of_an_earlier_version_or_changed_on_purpose(copy: Path) -> None:
    first, line, *others = (copy / "bundle.json").read_text().splitlines(keepends=True)
    before = Bundle.open(copy)
    assert '"seal": ' in line
    text = "".join([first, *others])
    (copy / "bundle.json").write_text(text)
    assert Bundle.open(copy) == before
    assert before.sha256 == hashlib.sha256(text.encode()).hexdigest()
    (copy / "bundle.json").write_text(text.replace('"rate": 0.00015', '"rate": 0.00025'))
    assert Bundle.open(copy).rate == pytest.approx(before.rate + 1e-4)
    assert Bundle.open(copy).sha256 != before.sha256


def test_a_missing_category_is_no_part_of_it(copy: Path) -> None:
    def leave_out(index: dict[str, Any]) -> None:
        index["categories"].pop(0)
        index["missing"] = [{"name": "muplus_onaxis", "rate": 0.5}]

    edit_index(copy, leave_out)
    bundle = Bundle.open(copy)
    assert [entry.category.number for entry in bundle.entries] == [2, 3, 4]
    assert [(one.category.number, one.rate) for one in bundle.missing] == [(1, 0.5)]
    assert bundle.rate == pytest.approx(sum(RATES.values()) - RATES["muplus_onaxis"])
    assert "its sample has 5.0000e-01 a proton" in "\n".join(describe_bundle(bundle))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda index: index.update(format="other"), "'other'"),
        (lambda index: index.update(format_version=2), "version 2"),
        (lambda index: index.pop("energy_cut"), "'energy_cut' is missing"),
        (lambda index: index.update(target_start="here"), "here"),
        (lambda index: index["categories"].pop(), "0 entries for category muminus_offaxis"),
        (lambda index: index["categories"].append(index["categories"][0]), "2 entries for category"),
        (lambda index: index["categories"][0].update(pdg=13), "PDG code or features of muplus_onaxis"),
        (lambda index: index["categories"][1].update(features=["z"]), "features of muminus_onaxis"),
        (lambda index: index["categories"][0].update(rate=-1.0), "rate of muplus_onaxis is -1.0"),
        (lambda index: [c.update(rate=0.0) for c in index["categories"]], "rates sum to 0"),
        (lambda index: index["categories"][0].update(rate="nan"), "rate of muplus_onaxis is 'nan', no num"),
        (lambda index: index["categories"][0].update(rate=float("nan")), "NaN is no number"),
        (
            lambda index: [c.update(rate=1e308) for c in index["categories"]],
            "rate of muplus_onaxis is 1e[+]308",
        ),
        (lambda index: index["categories"][0].update(rate=True), "is true, no number"),
        (lambda index: index["categories"][0].update(rate=" 1_0 "), "is ' 1_0 ', no number"),
        (lambda index: index["categories"][0].update(rate=10**400), "a whole number of 1329 bits"),
        (lambda index: index["categories"][0].update(latent_size=5.9), "latent_size of .* is 5.9, no whole"),
        (lambda index: index["categories"][0].update(latent_size=10**9), "latent_size of .* not from 1 to"),
        (lambda index: index["categories"][0].update(number=True), "number is true"),
        (lambda index: index.update(format_version=True), "version true"),
        (lambda index: index.update(target_start=1e308), "target_start is 1e[+]308"),
        (lambda index: index.update(energy_cut=1e308), "energy_cut is 1e[+]308"),
        (lambda index: index.update(name="a\x1b[2J"), "characters that cannot be shown"),
        (lambda index: index.update(label=5), "label is 5, no text"),
        (lambda index: index.update(label="\ud800"), "surrogates"),
        (lambda index: index.update(provenance=[]), "cannot be used"),
        (lambda index: index["categories"][0].update(file="a\x00.onnx"), "characters that cannot be shown"),
        (lambda index: index["categories"][0].update(file=".."), "cannot be read"),
        (lambda index: index["categories"][0].update(steps=True), "'steps' is no int"),
        (lambda index: index["categories"][0].update(coordinates=5), "'coordinates' is no dict"),
        (lambda index: index["categories"][0].update(file="../x.onnx"), "outside the folder"),
        (lambda index: index["categories"][0].update(file="x.onnx"), "cannot be read"),
        (lambda index: index["categories"][0].update(sha256="0"), "hash differs"),
        (lambda index: index["categories"][0].update(latent_size=7), r"float32\[N, 7\]"),
        (lambda index: index.update(categories=3), "cannot be used"),
        (lambda index: index.update(categories=["a"]), "cannot be used"),
        (lambda index: index["units"].update(z="m"), "z is in 'm', not in 'cm'"),
        (lambda index: index.update(missing=[{"name": "muons", "rate": 0}]), "'muons' is missing"),
        (lambda index: index.update(missing=[{"name": "muplus_onaxis", "rate": -1}]), "a missing rate"),
        (lambda index: index.update(missing=3), "cannot be used"),
        (lambda index: index.pop("units"), "'units' is missing"),
        (lambda index: index.update(energy_cut=-5), "energy_cut is -5"),
        (lambda index: index["categories"][0].update(number=9), "number, PDG code"),
        (lambda index: index["categories"][1].update(index["categories"][0], name="muminus_onaxis"), "PDG"),
    ],
)
def test_index_is_checked(copy: Path, change: Callable[[dict[str, Any]], object], message: str) -> None:
    edit_index(copy, change)
    with pytest.raises(BundleError, match=message):
        Bundle.open(copy)


def test_by_index_and_by_name(bundle: Bundle) -> None:
    assert Bundle.open(bundle.path / "bundle.json") == bundle
    assert Bundle.open("default") == Bundle.open()


def test_missing_and_damaged_files(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no bundle"):
        Bundle.open(tmp_path / "nowhere")
    network = copy / "muplus_onaxis.onnx"
    whole = network.read_bytes()
    network.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BundleError, match="damaged"):
        Bundle.open(copy)
    (copy / "bundle.json").write_text("{")
    with pytest.raises(BundleError, match="not valid JSON"):
        Bundle.open(copy)


def test_a_damaged_network_with_the_right_hash(copy: Path) -> None:
    import hashlib

    garbage = b"not a network"
    (copy / "muplus_onaxis.onnx").write_bytes(garbage)
    edit_index(copy, lambda index: index["categories"][0].update(sha256=hashlib.sha256(garbage).hexdigest()))
    with pytest.raises(BundleError, match="no ONNX model"):
        Bundle.open(copy)


@pytest.mark.parametrize(
    ("fault", "message"),
    [({"output": "other"}, "'muons' float32"), ({"factor": float("nan")}, "no finite muons")],
)
def test_networks_are_tried(tmp_path: Path, fault: dict[str, object], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        write_test_bundle(tmp_path / "faulty", muplus_offaxis=fault)


@pytest.mark.parametrize(
    ("name", "label", "rate"),
    [
        ("default", "Pythia 8 cascade with measured hadron yields, SHiP-like, target ship2025", 1.075e-3),
        ("ship2018", "Pythia 8 cascade with measured hadron yields, SHiP-like, target ship2018", 1.284e-3),
        ("ship2026", "Pythia 8 cascade with measured hadron yields, SHiP-like, target ship2026", 1.132e-3),
        ("pythia2018", "Pythia 8 cascade, SHiP-like", 1.519e-3),
    ],
)
def test_bundles_of_the_package_are_complete_and_honest(name: str, label: str, rate: float) -> None:
    bundle = Bundle.open(name)
    assert (bundle.name, bundle.label) == (name, label)
    assert bundle.rate == pytest.approx(rate, rel=1e-3)
    sample = bundle.provenance["sample"]["sources"][0]["provenance"]
    assert "/" not in sample["command"]
    # What remakes it asks for the hadrons and the target that it says of itself.
    hadrons = "data" if "measured" in sample.get("hadrons", "") else "pythia"
    macro = Path(__file__).parents[2] / "macros" / "make_bundle.sh"
    made = f'{name}) choice="--hadrons {hadrons} --target {sample["target"]["name"]}"'
    assert made in macro.read_text(encoding="utf-8")
    for entry in bundle.entries:
        merit, agreement = entry.details["figure_of_merit"], entry.details["agreement"]
        assert 0.4 < merit["auc"] < 1
        assert abs(merit["control"]["auc"] - 0.5) < 5 * merit["control"]["auc_error"]
        worst = max(*agreement["keras"].values(), *agreement["numpy"].values())
        # More only where tables are steep, of few latents, whose number is stated.
        assert 0 < worst < (STEEP_TOLERANCE if agreement.get("steep") else agreement["tolerance"])
        assert (agreement["tolerance"], agreement["latents"]) == (1e-5, 10_000)
        assert agreement.get("steep", 0) <= 3


@pytest.mark.parametrize(
    ("provenance", "survival"),
    [
        ({}, "in"),
        ({"sample": {"pot": 1}}, "in"),
        ({"sample": {"survival": "in"}}, "in"),
        ({"sample": {"survival": "out"}}, "out"),
        ({"base": {"provenance": {"sample": {"survival": "out"}}}, "imported": {}}, "out"),
        ({"sample": "unknown"}, "in"),
    ],
)
def test_survival_is_that_of_the_sample(bundle: Bundle, provenance: dict[str, object], survival: str) -> None:
    """Those that state nothing are of muons that left the absorber, as all once were."""
    assert replace(bundle, provenance=provenance).survival == survival
    said = list(describe_bundle(replace(bundle, provenance=provenance)))
    assert any(line.startswith(f"  survival {survival}: rates count muons") for line in said)
