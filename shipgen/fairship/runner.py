"""Runs a macro of FairShip as it is, with networks in place of its generator or beside it.

The class is replaced in memory, in the module ROOT; the macro runs as the main program, in this process.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any

from shipgen.errors import InputError, OutputError
from shipgen.fairship.frame import ADVICE
from shipgen.fairship.metadata import Output
from shipgen.fairship.source import NAME, find_root, make_source, say
from shipgen.fairship.stand_in import FixedTargetGenerator, RefusedError
from shipgen.generate.event_options import EventOptions
from shipgen.generate.events import MuonEvents

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import CodeType

#: What is replaced.
ORIGINAL = "FixedTargetGenerator"

#: Methods of ``FairPrimaryGenerator`` that move the tracks of all its generators alike.
_MOVED_ALIKE = ("SetTarget", "SetBeam")

#: Those that move them by another distance in each event, where they are given anything but 0.
_MOVED_ANEW = (
    *("SmearVertexZ", "SmearGausVertexZ", "SmearVertexXY", "SmearGausVertexXY"),
    *("SetMultTarget", "SetBeamAngle"),
)


@dataclass(frozen=True)
class MuonSettings:
    """What the command line says of the muons; the macro's own arguments say the rest.

    Attributes
    ----------
    bundle : Path, optional
        The networks; the default bundle when not given.
    options : EventOptions
        What an event is; seed, cut, offsets and beam are only used beside another generator.
    target_z : float, optional
        Where the target starts, cm; what the macro or the geometry says when not given.
    """

    bundle: Path | None = None
    options: EventOptions = field(default_factory=EventOptions)
    target_z: float | None = None


def run_macro(macro: Path, arguments: Sequence[str], settings: MuonSettings, *, beside: bool = False) -> None:
    """Run `macro` with `arguments`, its generator replaced, or with muons beside it.

    Parameters
    ----------
    macro : Path
        A macro that makes a ``FixedTargetGenerator``, or `beside` one that makes any other generator.
    arguments : sequence of str
        Of the macro.
    settings : MuonSettings
        What is said of the muons.
    beside : bool
        Whether the muons are added to the macro's own generators.

    Raises
    ------
    InputError
        The macro cannot be run, or asks for what networks cannot do.
    OutputError
        The run ended early, or its output cannot be told what is in it.
    """
    code = _compile(macro, "SetGenerator" if beside else ORIGINAL)
    root = find_root()
    place = _Beside(root, settings) if beside else _InPlace(root, settings)
    main = ModuleType("__main__")
    main.__dict__.update(__file__=str(macro), __builtins__=__builtins__)
    place.install(main)
    # For good: FairShip looks into the main program when the process ends.
    sys.modules["__main__"] = main
    sys.argv = [str(macro), *arguments]
    sys.path[0] = str(macro.parent.absolute())
    exec(code, main.__dict__)  # noqa: S102
    _finish(macro, place.made)


def _compile(macro: Path, needed: str) -> CodeType:
    """Return the macro, compiled; raise `InputError` where it cannot be of use."""
    try:
        text = macro.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{macro} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    try:
        code = compile(text, str(macro), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise InputError(
            f"{macro}{f', line {line}' if line else ''}: {getattr(error, 'msg', error)}; it is no Python "
            f"{sys.version_info.major}.{sys.version_info.minor}: macros of Python 2, up to 2019, read a file "
            "of `shipgen produce` in their own environment"
        ) from error
    if needed not in text:
        raise InputError(
            f"{macro} has no {needed}: give a macro that uses {ORIGINAL}, or one that calls "
            "FairRunSim.SetGenerator with --beside"
        )
    return code


def _finish(macro: Path, made: list[Any]) -> None:
    """State what the output holds; raise `OutputError` where the run did not end well."""
    for source in made:
        output: Output = source.stand_in.output if source.stand_in else source.output
        if source.tell.told:
            raise OutputError(f"the run of {macro} ended early, after {source.muons.events:,} events")
        if not source.muons.events:
            raise InputError(f"{macro} ended without an event: its output has no muons of networks")
        if output.write():
            say(
                f"{output.path} states {source.muons.pot:.6g} protons on target for "
                f"{source.muons.muons:,} muons"
            )
        else:
            sys.stderr.write(
                f"{NAME}: the run's output is not found: {source.muons.pot:.6g} protons on target are not "
                "stated there\n"
            )


class _InPlace:
    """`FixedTargetGenerator` in place of FairShip's."""

    def __init__(self, root: Any, settings: MuonSettings) -> None:
        self.made: list[Any] = []
        self._root, options = root, settings.options
        self._make = partial(
            FixedTargetGenerator,
            settings.bundle,
            muons_per_event=options.muons_per_event,
            pot_per_event=options.pot_per_event,
            target_z=settings.target_z,
            categories=options.selection.categories,
            charge_fraction=options.selection.charge_fraction,
            variation=options.variation,
            original=getattr(root, ORIGINAL, None),
        )

    def install(self, main: ModuleType) -> None:
        """Replace the class."""
        del main

        def make() -> Any:
            self.made.append(self._make())
            return self.made[-1]

        setattr(self._root, ORIGINAL, make)
        _before(self._root.FairRunSim, "SetGenerator", self._check)

    def _check(self, *_: Any) -> None:
        if not self.made:
            raise RefusedError(f"with these arguments the macro makes no {ORIGINAL} to replace")


class _Beside:
    """A source beside the macro's own generators, in the frame that the macro gives its tracks."""

    def __init__(self, root: Any, settings: MuonSettings) -> None:
        self.made: list[Any] = []
        self._root, self._settings = root, settings
        self._shift = (0.0, 0.0, 0.0)

    def install(self, main: ModuleType) -> None:
        """Listen to what the macro says of its frame, and add the source when all generators are there."""
        primary = self._root.FairPrimaryGenerator
        for name in _MOVED_ALIKE:
            _before(primary, name, partial(self._move, name))
        for name in _MOVED_ANEW:
            if hasattr(primary, name):
                _before(primary, name, partial(self._smear, name))
        _before(self._root.FairRunSim, "SetGenerator", partial(self._add, main))

    def _move(self, name: str, _primary: Any, *numbers: float) -> None:
        x, y, z = self._shift
        first, second = map(float, numbers[:2])
        self._shift = (x, y, first) if name == "SetTarget" else (first, second, z)

    def _smear(self, name: str, _primary: Any, *values: Any) -> None:
        if any(values):
            raise RefusedError(
                f"the macro moves each event anew ({name}), and muons of other protons with it: use "
                "arguments with which it does not"
            )

    def _add(self, main: ModuleType, _run: Any, primary: Any) -> None:
        settings, (x, y, z) = self._settings, self._shift
        start = settings.target_z
        if start is None:
            try:
                start = float(main.ship_geo.target.z0)
            except (AttributeError, TypeError, ValueError) as error:
                raise RefusedError(f"the macro has no ship_geo.target.z0: {ADVICE}") from error
        muons = MuonEvents(
            settings.bundle,
            replace(
                settings.options,
                target_z=start - z,
                offset_x=settings.options.offset_x - x,
                offset_y=settings.options.offset_y - y,
            ),
        )
        source = make_source(muons)
        # FairRoot would go on, and end with success at the first event.
        if not source.Init():
            raise RefusedError("the macro was not run")
        source.output = Output(muons, whole=False)
        source.output.find()
        self.made.append(source)
        primary.AddGenerator(source)
        say(
            f"beside the macro's generators; target from z = {start:g} cm, where the macro moves all tracks "
            f"by {z:g} cm"
        )


def _before(kind: Any, name: str, first: Callable[..., None]) -> None:
    """Let a method of a class of ROOT call `first` with its arguments before it does its work."""
    original = getattr(kind, name)

    def both(*arguments: Any) -> Any:
        first(*arguments)
        return original(*arguments)

    setattr(kind, name, both)
