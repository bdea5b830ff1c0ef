"""Write ``cbmsim`` files through ROOT as FairShip does, and find their muons in a plain loop.

A program of its own: ROOT and TensorFlow cannot be imported into one process. Arguments: generation (2018 or
2026), folder. Each file NAME.root gets a NAME.json with a row a muon: PDG code, start, momentum, weight,
event, x and y where the event's first track starts.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import ROOT

#: What ``run_fixedTarget.py`` of 2026 writes of its options, and the beam that they give, cm.
OPTIONS = {
    "debug": False,
    "runnr": 1,
    "ecut": 10.0,
    "nev": 33970,
    "boostDiMuon": 100.0,
    "boostFactor": 1.0,
    "charm": False,
    "beauty": False,
    "JpsiMainly": False,
    "tauOnly": False,
    "pot": 4e13,
    "work_dir": "shipgen/run",
    "seed": 1,
    "beam_smear": 16.0,
    "beam_paint": 50.0,
}
BEAM = (1.6**2 + 5.0**2 / 2) ** 0.5
TITLE = "POT = 33970 with ecut=10.0 V diMu100.0"
#: The same of a run whose muons are drawn by shipgen's source.
OURS = {"PoT": 2e6, "EnergyCut": 10.0, "prodSite": "shipgen", "nev": 250}

FILES = {
    "2018": {
        "spill": {"weights": (768.75, 7.6875), "title": "POT = 65041 with ecut=10"},
        "smeared": {"weights": (768.75,), "beam": 1.6, "title": "smeared"},
        "raw": {"weights": (1.0,), "job": "POT = 12000 with ecut=10.0 V", "plane": True},
        "charm": {"weights": (326.16,), "job": "POT equivalent = 4.89E+05 with ecut=10.0 V", "plane": True},
        "boosted": {"weights": (1.0,), "job": "POT = 500 with ecut=1.0 diMu100.0 X100.0", "plane": True},
        "onia": {"weights": (1.0,), "job": "POT = 500 with ecut=10.0 J V"},
        # The detector of the decay vessel, in the output of run_simScript.py.
        "vessel": {"weights": (768.75,), "vessel": True},
    },
    "2026": {
        "plane": {"weights": (1.0, 0.01), "beam": 1.6, "summary": {"PoT": 33970, "EnergyCut": 10.0}},
        "still": {"weights": (1.0,), "summary": {"PoT": 1000, "EnergyCut": 10.0}},
        "broken": {"weights": (1.0,), "beam": 1.6, "mother": 5},
        "raw": {"weights": (1.0, 0.01), "beam": BEAM, "job": TITLE, "options": OPTIONS, "plane": True},
        "again": {"weights": (1.0, 0.01), "beam": BEAM, "job": TITLE, "options": OPTIONS, "plane": True},
        "twice": {"weights": (1.0,), "beam": 2 * BEAM, "job": TITLE, "options": OPTIONS},
        "split": {"weights": (1.0, 0.5), "options": {**OPTIONS, "kaon_pion_splits": 2}},
        "heavy": {"weights": (489.24,), "options": {**OPTIONS, "charm": True, "nev": 700}},
        "drawn": {"weights": (1.0,), "job": "POT = 250 with ecut=10.0", "options": OURS},
        "orphans": {"weights": (1.0,), "beam": BEAM, "options": OPTIONS, "orphans": True},
    },
}
EVENTS = 250


def compile_classes(generation: str, folder: Path) -> None:
    """Give ROOT the dictionaries of the generation's classes."""
    source = Path(__file__).with_name("fairship_classes.h").read_text()
    header = folder / f"classes{generation}.h"
    header.write_text((f"#define SHIPGEN_{generation}\n" if generation == "2026" else "") + source)
    ROOT.gSystem.SetBuildDir(str(folder), True)
    # Debugging mode: the compiler has less to do.
    if ROOT.gROOT.LoadMacro(f"{header}+g") != 0:
        sys.exit("the classes do not compile")


def new_track(pdg: int, mother: int, place: tuple[float, ...], momentum: tuple[float, ...], weight: float):
    track = ROOT.ShipMCTrack()
    track.fPdgCode, track.fMotherId, track.fW = pdg, mother, weight
    track.fStartX, track.fStartY, track.fStartZ = place
    track.fPx, track.fPy, track.fPz = momentum
    return track


def event(rng: random.Random, beam: float, weights: tuple[float, ...], mother: int) -> tuple[list, list]:
    """Return tracks and hits (track, PDG code): several hits a track, other particles, wrong numbers."""
    x, y, z = rng.gauss(0, beam), rng.gauss(0, beam), rng.uniform(0, 100) - 7084.5
    tracks = [
        new_track(2212, mother, (x, y, z), (0, 0, 400), weights[0]),
        new_track(2112, mother, (x, y, z), (0, 0, 0), weights[0]),
    ]
    for _ in range(rng.randint(0, 5)):
        place = (x, y, z)
        if rng.random() < 0.6:
            place = (x + rng.gauss(0, 1), y + rng.choice((0, rng.gauss(0, 1))), z + rng.uniform(0, 50))
        momentum = (rng.gauss(0, 0.4), rng.gauss(0, 0.4), rng.uniform(10, 100))
        tracks.append(new_track(rng.choice((13, -13, 13, -13, 211)), 0, place, momentum, rng.choice(weights)))
    hits = []
    for _ in range(rng.randint(0, 8)):
        number = rng.randint(-2, len(tracks))
        right = 0 <= number < len(tracks) and rng.random() < 0.9
        hits.append((number, tracks[number].fPdgCode if right else rng.choice((13, -13, 22))))
    return tracks, hits


def without_some(rng: random.Random, tracks: list, hits: list) -> tuple[list, list]:
    """Leave out the beam's proton of some events, and all mothers: another hadron comes first."""
    for track in tracks:
        track.fMotherId = -1
    if rng.random() < 0.5:
        tracks[0].fPdgCode, tracks[0].fPx = 321, 5.0
    return tracks, hits


def place(point, rng: random.Random, options: dict) -> None:
    """Put a hit on the plane behind the absorber, or somewhere in the decay vessel."""
    if "plane" in options:
        point.fDetectorID, point.fZ = 111, 700.0
    if "vessel" in options:
        point.fDetectorID, point.fZ = rng.randint(100000, 200000), rng.uniform(-2500, 2500)


def write(path: Path, generation: str, seed: int, options: dict) -> None:
    rng = random.Random(seed)  # noqa: S311 - no secrets
    file = ROOT.TFile(str(path), "recreate")
    tree = ROOT.TTree("cbmsim", "/cbmroot_0")
    if generation == "2018":
        mc, points = ROOT.TClonesArray("ShipMCTrack"), ROOT.TClonesArray("vetoPoint")
        tree.Branch("MCTrack", mc, 32000, 99)
        tree.Branch("vetoPoint", points, 32000, 99)
    else:
        mc, points = ROOT.std.vector("ShipMCTrack")(), ROOT.std.vector("vetoPoint")()
        tree.Branch("MCTrack", mc, 32000, 99)
        tree.Branch("PlaneHAPoint", points, 32000, 99)
    for _ in range(EVENTS):
        tracks, hits = event(rng, options.get("beam", 0.0), options["weights"], options.get("mother", -1))
        if "orphans" in options:
            without_some(rng, tracks, hits)
        for container in (mc, points):
            container.Clear() if generation == "2018" else container.clear()
        for track in tracks:
            add(mc, track)
        for number, pdg in hits:
            point = ROOT.vetoPoint()
            point.fTrackID, point.fPdgCode = number, pdg
            place(point, rng, options)
            add(points, point)
        tree.Fill()
    tree.Write()
    if "title" in options:
        ROOT.TNamed("FileHeader", options["title"]).Write()
    if "summary" in options:
        ROOT.TObjString(json.dumps(options["summary"])).Write("FileSummary")
    write_facts(file, options)
    file.Close()


def write_facts(file, options: dict) -> None:
    """Write what a job says of itself."""
    if "job" in options:
        # run_fixedTarget.py copies all there is into another file, and the header once more.
        for name in ("MCTrack", "cbmroot"):
            ROOT.TObjString(name).Write()
        for _ in range(2):
            ROOT.TNamed("FileHeader", options["job"]).Write()
    if "options" in options:
        file.WriteObject(ROOT.TString(json.dumps(options["options"])), "FileSummary")


def add(container, thing) -> None:
    if isinstance(container, ROOT.TClonesArray):
        new = container.ConstructedAt(container.GetEntriesFast())
        new.__assign__(thing)
    else:
        container.push_back(thing)


def muons(path: Path, generation: str) -> list[list[float]]:
    """Find the muons one by one: each track with a hit of its own PDG code, once."""
    rows = []
    file = ROOT.TFile.Open(str(path))
    tree = file.Get("cbmsim")
    for number in range(tree.GetEntries()):
        tree.GetEntry(number)
        tracks = tree.MCTrack
        seen = set()
        for point in tree.vetoPoint if generation == "2018" else tree.PlaneHAPoint:
            inside = abs(point.fPdgCode) == 13 and 0 <= point.fTrackID < len(tracks)
            if inside and tracks[point.fTrackID].fPdgCode == point.fPdgCode:
                seen.add(point.fTrackID)
        for place in sorted(seen):
            t, first = tracks[place], tracks[0]
            start = (t.fStartX, t.fStartY, t.fStartZ, t.fPx, t.fPy, t.fPz, t.fW)
            rows.append([t.fPdgCode, *start, number, first.fStartX, first.fStartY])
    return rows


def main() -> None:
    generation, folder = sys.argv[1], Path(sys.argv[2])
    compile_classes(generation, folder)
    for seed, (name, options) in enumerate(FILES[generation].items()):
        path = folder / f"{name}.root"
        write(path, generation, seed, options)
        path.with_suffix(".json").write_text(json.dumps(muons(path, generation)))
    for name, parts in {"2018": {}, "2026": {"merged": ("raw", "again")}}[generation].items():
        merger = ROOT.TFileMerger(False)
        merger.OutputFile(str(folder / f"{name}.root"), "RECREATE")
        for part in parts:
            merger.AddFile(str(folder / f"{part}.root"))
        if not merger.Merge():
            sys.exit(f"{name} was not merged")


main()
