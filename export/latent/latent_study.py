"""Studies of a bundle's latent spaces in a folder: the library form of `shipgen latent`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shipgen.errors import InputError
from shipgen.files.outputs import check_output, complete_folder, write_json
from shipgen.muons.categories import CATEGORY_NAMES
from shipgen.progress import progress
from shipgen_export.enhance.regions.region_file import read_region
from shipgen_export.latent.dimensions import Study, study
from shipgen_export.sample.sample import PreparedSample

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from shipgen.bundle.bundle import Bundle
    from shipgen.muons.columns import Float64
    from shipgen_export.enhance.regions.targets import Wanted

INDEX = "latent.json"


def write_studies(
    bundle: Bundle,
    output: Path,
    *,
    categories: Sequence[str] = (),
    region: str | None = None,
    sample: Path | None = None,
    dimensions: tuple[int, int] | None = None,
    cells: int = 50,
    muons: int = 100_000,
    seed: int = 1,
    pictures: bool = True,
    force: bool = False,
) -> Iterator[str]:
    """Write ``latent.json`` and, for each category, two pictures into the folder `output`.

    Parameters
    ----------
    bundle : Bundle
        Plain or enhanced.
    output : Path
        Folder to make.
    categories : sequence of str
        Names; all when empty.
    region : str, optional
        As for `read_region`; that of an enhanced bundle, if it is an expression, when not given.
    sample : Path, optional
        Prepared sample for the classifier.
    dimensions, cells, muons, seed
        As for `shipgen_export.latent.dimensions.study`.
    pictures : bool
        Draw as well.
    force : bool
        Replace `output`.

    Yields
    ------
    str
        Lines that say what was found.

    Raises
    ------
    InputError
        An input cannot be used.
    """
    check_output(output, force=force, index=INDEX)
    if unknown := [name for name in categories if name not in CATEGORY_NAMES]:
        raise InputError(f"no category {unknown[0]!r}: choose from {', '.join(CATEGORY_NAMES)}")
    if cells < 2 or muons < 1000:
        raise InputError(f"cells = {cells}, muons = {muons}: at least 2 and 1000 are needed")
    prepared = None if sample is None else PreparedSample.open(sample)
    target = _region(bundle, region)
    chosen = [
        k for k, each in enumerate(bundle.entries) if not categories or each.category.name in categories
    ]
    found = []
    with complete_folder(output, index=INDEX, force=force) as folder:
        with progress("studying", len(chosen), "categories") as advance:
            for place in chosen:
                name = bundle.entries[place].category.name
                one = study(
                    bundle,
                    place,
                    region=target,
                    sample=prepared.load(name) if prepared is not None else None,
                    dimensions=dimensions,
                    cells=cells,
                    muons=muons,
                    seed=seed,
                )
                if pictures:
                    _draw(one, bundle.name, folder)
                found.append(one)
                advance(1)
        write_json(
            folder / INDEX,
            {
                "bundle": {"name": bundle.name, "sha256": bundle.sha256},
                "region": None if target is None else target.text,
                "seed": seed,
                "muons": muons,
                "categories": {one.name: one.to_json() for one in found},
            },
        )
    for one in found:
        yield from _lines(one)


def _region(bundle: Bundle, given: str | None) -> Wanted | None:
    """Return the region asked for, or what an enhanced bundle was enhanced for."""
    if given is not None:
        return read_region(given)
    stated = bundle.provenance.get("enhanced")
    text = stated.get("region") if isinstance(stated, dict) else None
    if not isinstance(text, str):
        return None
    try:
        return read_region(text)
    except InputError:
        # A table or examples, which the bundle does not hold.
        return None


def _draw(one: Study, name: str, folder: Path) -> None:
    from shipgen_export.latent.latent_pictures import draw_effects, draw_maps

    title = f"{name}, {one.name}"
    draw_maps(one, title).savefig(folder / f"{one.name}.png", format="png")
    draw_effects(one, title).savefig(folder / f"{one.name}_effects.png", format="png")


def _lines(one: Study) -> Iterator[str]:
    """Yield what was found of a category."""
    yield f"{one.name}: {len(one.effects)} latents, grid over {one.dimensions[0]} and {one.dimensions[1]}"
    for k, row in enumerate(one.effects[:20]):
        yield f"  latent {k}: {_words(one, row)}"
    if len(one.effects) > 20:
        yield f"  ({len(one.effects) - 20} more are in {INDEX})"
    yield f"  of several together: {_words(one, one.shares[-1])}"
    dead = float(one.density[one.dead].sum())
    yield f"  {dead:.2%} of the latents are where muons hardly change"
    if one.region is not None:
        yield f"  {one.share:.3e} of the muons are in the region"


def _words(one: Study, row: Float64) -> str:
    """Return the quantities of which a latent has a share of the variance."""
    pairs = zip(one.quantities, row, strict=True)
    return ", ".join(f"{name} {value:.2f}" for name, value in pairs if value >= 0.01) or "nothing"
