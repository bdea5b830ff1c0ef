"""The page of a validation: what was compared, what was found, tables and pictures by category."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from shipgen_export.validation.counting.compared_quantities import (
    SUMMARY_TAILS,
    TOGETHER,
    category_titles,
    plain,
)
from shipgen_export.validation.report.page_parts import asked, regions_part, variations_part
from shipgen_export.validation.report.page_tables import (
    SURE_AUC,
    Raw,
    copies_line,
    coverage_table,
    escaped,
    formatted,
    good_cell,
    make_table,
    memory_line,
    p_cell,
    plain_value,
    pm,
    pull_cell,
    ratio_cell,
    relative,
    tail_table,
    uncertainty_table,
)
from shipgen_export.validation.report.stated_uncertainty import network_uncertainty

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shipgen_export.validation.compare import Result
    from shipgen_export.validation.report.thresholds import Limit

_HOW = """\
Shares, ratios and pulls use weights. Errors are those of protons where the muons of a proton can be told, for
 they are not independent, in tables and pictures.
Green: within 3 standard errors, and these are 5 % at most (of an AUC 0.01; of a distribution, those of a bin
 of the test); red: beyond 3 standard errors; without colour: no difference is seen, but the errors are too
 large to say that there is none.
chi2: bins of about equal content with their full covariance. KS: Kolmogorov-Smirnov distance, with as many
 independent muons as the variance of the distribution corresponds to.
Muons moved: share of the muons in another bin than in the reference, statistical fluctuations included.
AUC: area under the ROC curve of a classifier on muons it was not trained on; 0.5 is a perfect generator.
 source: the method's own trees; fast: fewer muons; hard: more trees and derived features. In brackets the
 control, the reference's muons against each other.
A test fails where p is below {level:g} over the number of tests. With many muons small differences fail: look
 at ratios and at muons moved for how much they matter.""".replace("\n ", " ")

#: Of facts that have one.
_UNITS = {"energy_cut": " GeV", "target_start": " cm"}

#: Rows of failed tests on the page; all are in the JSON.
_SHOWN = 40


class Page:
    """Gathers pictures, then gives the page's body.

    Parameters
    ----------
    result : Result
        What was found.
    limits : sequence of Limit
        What was checked.
    command : str
        That made the report.
    """

    def __init__(self, result: Result, limits: Sequence[Limit], command: str) -> None:
        self._result, self._limits, self._command = result, limits, command
        self._known = network_uncertainty(result.bundle) if result.bundle is not None else {}
        self._pictures: dict[str, str] = {}
        self._titles = category_titles()

    def add(self, name: str, caption: str, image: str) -> None:
        """Add the picture called `name`."""
        self._pictures[name] = f"<figure>{image}<figcaption>{escaped(caption)}</figcaption></figure>"

    def body(self) -> str:
        """Return the body of the page."""
        parts = [self._head(), self._summary(), self._failed(), regions_part(self._result), self._rates()]
        parts.append(variations_part(self._result, self._pictures))
        parts += [self._category(name) for name in self._result.categories]
        parts.append(_explanations(self._result.level))
        return "\n".join(parts)

    def _head(self) -> str:
        result = self._result
        links = {name: self._titles[name] for name in result.categories}
        targets = {"failed": "Tests that fail"}
        targets |= {"regions": "Regions"} if asked(self._result) else {}
        targets |= {"rates": "Rates"}
        targets |= (
            {"variations": "Variations"}
            if any(sample.source.variations for sample in (result.generated, result.reference))
            else {}
        )
        targets |= {**links, "how": "How to read it"}
        menu = "".join(f'<a href="#{place}">{escaped(text)}</a>' for place, text in targets.items())
        rows = []
        for side, sample in (("generated", result.generated), ("reference", result.reference)):
            facts = sample.facts
            about = ", ".join(
                f"{key.replace('_', ' ')} {plain_value(value)}{_UNITS.get(key, '')}"
                for key, value in facts.items()
                if key not in {"kind", "name", "dropped", "sources", "variations"} and value is not None
            )
            notes = "<br>".join(escaped(note) for note in sample.notes)
            rows.append(
                [
                    side,
                    f"{facts['kind']}: {facts['name']}",
                    Raw(escaped(about) + "<br>" * bool(notes) + notes),
                ]
            )
        command = f'<p class="note">{escaped(self._command)}</p>' if self._command else ""
        return (
            f"<h1>{escaped(result.generated.label)} against {escaped(result.reference.label)}</h1>{command}"
            f"<nav>{menu}</nav>{make_table(['', 'muons', 'facts'], rows, texts=(1, 2))}"
        )

    def _summary(self) -> str:
        """Return the table to look at first."""
        forms = list(dict.fromkeys(form for each in self._result.merits.values() for form in each))
        ratios = {row["category"]: row for row in self._result.rates["rows"]}
        rows = []
        for name, found in self._result.categories.items():
            row = ratios.get(name)
            histograms = found.histograms
            worst = max(histograms, key=lambda q: histograms[q].chi2 / histograms[q].dof, default=None)
            cells: list[Any] = [
                self._titles[name],
                ratio_cell(row) if row else "",
                f"{plain(worst)}: {histograms[worst].chi2 / histograms[worst].dof:.2f}"
                if worst
                else "too few muons",
                f"{100 * max(each.moved for each in histograms.values()):.2f} %" if worst else "",
                *(ratio_cell(found.tail(region), 3) for region in SUMMARY_TAILS),
            ]
            for form in forms:
                merit = self._result.merits.get(name, {}).get(form)
                if merit is None:
                    cells.append("")
                    continue
                text = pm(merit.merit.auc, merit.merit.auc_error)
                control = f"\n({merit.control.auc:.4f})" if merit.control else ""
                error = merit.merit.auc_error
                cells.append(pull_cell(text + control, max(0.0, merit.pull), error, SURE_AUC))
            rows.append(cells)
        heads = [
            "",
            "rate, gen. / ref.",
            "worst chi2/dof",
            "muons moved, at most",
            *(f"{region}, gen. / ref." for region in SUMMARY_TAILS),
        ]
        heads += [f"AUC, {form}" for form in forms]
        lines = "".join(f'<p class="note">{escaped(text)}</p>' for text in self._result.missing)
        checked = [
            [
                one.name.replace("_", " "),
                f"{one.limit:g}",
                good_cell(f"{one.value:.4g}", good=one.met),
                one.where,
            ]
            for one in self._limits
        ]
        table = make_table(["limit", "allowed", "found", "where"], checked, texts=(3,)) if checked else ""
        caption = (
            "Green: within 3 standard errors of a perfect generator, which are 5 % at most (AUC 0.01); red: "
            "not within; no colour: the errors are too large to say. In brackets: the reference's own muons."
        )
        summary = make_table(heads, rows, caption, dense=True)
        return f'<h2 class="first" id="summary">Summary</h2>{summary}{lines}{table}'

    def _failed(self) -> str:
        failed, tests = self._result.failed, self._result.tests
        text = (
            f"{len(failed)} of {len(tests)} tests fail. Samples of the same distribution get a test that "
            f"fails in {100 * self._result.level:g} % of reports."
        )
        rows = [
            [
                test.family,
                self._titles.get(test.category, test.category),
                test.quantity,
                f"{test.p:.1e}",
                test.text,
            ]
            for test in failed[:_SHOWN]
        ]
        if not rows:
            return f'<h2 class="first" id="failed">Tests that fail</h2><p>{text}</p>'
        more = f"<p class='note'>The worst {_SHOWN}; all are in report.json.</p>" * (len(failed) > _SHOWN)
        table = make_table(["test", "muons", "quantity", "p", "what and where"], rows, texts=(1, 2, 4))
        return f'<h2 class="first" id="failed">Tests that fail</h2><p>{text}</p>{table}{more}'

    def _rates(self) -> str:
        rates = self._result.rates
        rows = [
            [
                self._titles[row["category"]],
                f"{row['found'][0]:,}",
                f"{row['found'][1]:,}",
                f"{row['generated']:.4e} ± {row['generated_error']:.1e}",
                f"{row['reference']:.4e} ± {row['reference_error']:.1e}",
                pm(row["ratio"], row["ratio_error"]),
                pull_cell(
                    formatted(row["pull"], "+.1f"), row["pull"], relative(row["ratio"], row["ratio_error"])
                ),
            ]
            for row in rates["rows"]
        ]
        heads = [
            "",
            "muons, generated",
            "muons, reference",
            f"generated, {rates['unit']}",
            f"reference, {rates['unit']}",
            "ratio",
            "pull",
        ]
        caption = f"All four: chi2/dof {rates['chi2']:.1f}/{rates['dof']}, p = {rates['p']:.2g}"
        parts = [f'<h2 id="rates">Rates</h2>{make_table(heads, rows, caption, dense=True)}']
        charge = [
            [
                row["where"],
                pm(row["generated"], row["generated_error"]),
                pm(row["reference"], row["reference_error"]),
                pull_cell(
                    formatted(row["pull"], "+.1f"),
                    row["pull"],
                    math.hypot(
                        row["generated_error"] / row["generated"], row["reference_error"] / row["reference"]
                    ),
                ),
            ]
            for row in rates["charge"]
        ]
        parts.append(make_table(["mu+ / mu-", "generated", "reference", "pull"], charge))
        if (bundle := self._result.against_bundle) is not None:
            rows = [
                [
                    self._titles[row["category"]],
                    f"{row['muons']:,}",
                    f"{row['weight']:,.1f}",
                    f"{row['expected']:,.1f}",
                    pull_cell(formatted(row["pull"], "+.1f"), row["pull"], _poisson(row["expected"])),
                ]
                for row in bundle["rows"]
            ]
            caption = (
                f"Muons generated for {bundle['pot']:.6g} POT against the rates of bundle {bundle['bundle']}"
            )
            parts.append(
                make_table(["", "muons", "sum of weights", "expected", "Poisson pull"], rows, caption)
            )
        return "".join(parts) + self._pictures.get("rates", "") + self._uncertainty()

    def _uncertainty(self) -> str:
        """Return how well the bundle's networks are known, where it says so."""
        if not self._known:
            return ""
        text = (
            "The networks learnt from a sample of limited size, and have its fluctuations. Pulls do not "
            "contain this: against a reference that the networks did not learn from, add it in quadrature."
        )
        table = uncertainty_table(self._known, self._titles)
        picture = self._pictures.get("uncertainty", "")
        head = '<h2 class="first" id="uncertainty">Uncertainty of the networks</h2>'
        return f"{head}<p>{text}</p>{table}{picture}"

    def _category(self, name: str) -> str:
        found = self._result.categories[name]
        parts = [f'<h2 id="{name}">{escaped(self._titles[name])}</h2>']
        sizes = [
            [
                side,
                f"{of['muons']:,}",
                f"{of['effective']:,.0f}",
                f"{of['effective_protons']:,.0f}",
                f"{of['drawn']:,}",
            ]
            for side, of in found.effective.items()
        ]
        heads = ["", "muons counted", "effective", "effective protons", "drawn for classifiers, neighbours"]
        parts.append(make_table(heads, sizes))
        parts += [self._pictures.get(f"{name}_distributions", ""), self._histograms(name)]
        parts += [
            tail_table(found.tails, self._known.get(name, {})),
            self._pictures.get(f"{name}_tails", ""),
            self._pictures.get(f"{name}_pairs", ""),
        ]
        parts += [self._pictures.get(f"{name}_correlations", ""), self._classifiers(name)]
        parts.append(self._pictures.get(f"{name}_classifiers", ""))
        if name != TOGETHER:
            parts += [coverage_table(found.coverage), memory_line(found.memory), copies_line(found.copies)]
        return "".join(parts)

    def _histograms(self, name: str) -> str:
        rows = []
        sizes = [each["effective_protons"] for each in self._result.categories[name].effective.values()]
        for quantity, each in self._result.categories[name].histograms.items():
            # Of bins of equal content.
            error = math.sqrt((each.dof + 1) * sum(1 / size for size in sizes))
            low, high, pull = each.where
            rows.append(
                [
                    plain(quantity),
                    f"{each.chi2:.1f} / {each.dof}",
                    p_cell(each.p, error),
                    f"{pull:+.1f} at {low:.4g} to {high:.4g}",
                    f"{each.distance:.4f} at {each.distance_at:.4g}",
                    p_cell(each.distance_p, error),
                    f"{100 * each.moved:.2f} %",
                ]
            )
        heads = ["", "chi2 / dof", "p", "largest pull", "KS distance", "p", "muons moved"]
        return make_table(heads, rows, "Distributions; positions in cm, GeV and rad") if rows else ""

    def _classifiers(self, name: str) -> str:
        rows = []
        for form, merit in self._result.merits.get(name, {}).items():
            for what, figures in ((form, merit.merit), (f"{form}, control", merit.control)):
                if figures is not None:
                    chi2 = "" if figures.chi2 is None else f"{figures.chi2:.2f}"
                    rows.append(
                        [
                            what,
                            pm(figures.auc, figures.auc_error),
                            chi2,
                            f"{figures.overlap:.3f}",
                            f"{figures.fitted:,}",
                            f"{figures.applied:,}",
                        ]
                    )
        heads = ["", "AUC", "reduced chi2", "overlap", "trained on", "applied to"]
        return (
            make_table(heads, rows, "Classifiers; control: muons of the reference against each other")
            if rows
            else ""
        )


def _poisson(expected: float) -> float | None:
    """Return the relative error of a Poisson number."""
    return 1 / math.sqrt(expected) if expected > 0 else None


def _explanations(level: float) -> str:
    lines = _HOW.format(level=level).split("\n")
    return '<h2 id="how">How to read it</h2>' + "".join(f"<p>{escaped(line)}</p>" for line in lines)
