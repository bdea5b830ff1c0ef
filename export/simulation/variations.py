"""Named variations: what is uncertain in a simulated sample, as factors beside each muon's weight.

Those of hadrons add up along a muon's ancestors, those of processes come at its end. A factor is by how much
the muon's weight changes when the named quantity is off by what is uncertain of it, one standard deviation
about; the muons stay the same.
"""

from __future__ import annotations

import math

#: Variations of hadron production, in the order of `Parents.variations`: name -> meaning.
HADRON_VARIATIONS = {
    "pions": "10 % more pions in each collision, as the fit's error",
    "kaons": "10 % more kaons in each collision, as the fit's error",
    "charge": "5 % more positive than negative pions and kaons in each collision",
    "nuclei": "yields grow with the mass number by a power that is larger by 0.02",
    "projectiles": "what mesons make in collisions is left as Pythia has it",
    "hadrons": "all pions and kaons by the other choice: Pythia's for data, data for Pythia's",
}

#: Variations of processes: name -> (names in `Process`, factor, meaning).
PROCESS_VARIATIONS = {
    "charm": (("CHARM",), 1.2, "20 % more charm"),
    "beauty": (("BEAUTY",), 1.5, "50 % more beauty"),
    "pairs": (
        ("DIMUON", "DALITZ"),
        0.6,
        "40 % fewer muon pairs of rho, omega, phi, eta, eta': totals in pp collisions suggest it",
    ),
    "photons": (("PHOTON_CONVERSION",), 1.5, "50 % more photons: electromagnetic showers"),
    "jpsi": (("JPSI",), 1.2, "20 % more J/psi"),
}

#: All names, in the order of `ProducedMuons.variations`.
VARIATIONS = (*HADRON_VARIATIONS, *PROCESS_VARIATIONS)

#: Logarithms of the factors of one pion, of one kaon, of one charge; powers of the mass number.
PION_STEP, KAON_STEP, CHARGE_STEP, NUCLEUS_STEP = math.log(1.1), math.log(1.1), math.log(1.05) / 2, 0.02


def variation_column(variation: str) -> str:
    """Return the name of a variation's column in a sample."""
    return f"vary_{variation}"


def meanings() -> dict[str, str]:
    """Return what each variation's column stands for."""
    of_processes = {name: meaning for name, (_, _, meaning) in PROCESS_VARIATIONS.items()}
    return {
        variation_column(name): meaning for name, meaning in {**HADRON_VARIATIONS, **of_processes}.items()
    }
