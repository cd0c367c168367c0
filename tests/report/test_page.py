"""The page: self-contained, escaped, balanced, the same bytes each time, and honest where nothing was measured."""

import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser

import polars as pl
import pytest

from select2reason.comparing import Comparison
from select2reason.report import Examples, Finding, Hit, Shown, analysis_page, comparison_page, selection_page
from select2reason.report.plain import Excerpt

MakeScores = Callable[..., pl.DataFrame]
MakeExamples = Callable[[pl.DataFrame], Examples]
Compared = Callable[[pl.DataFrame], Comparison]
VOID = {"meta", "br", "hr", "img", "input", "link", "col", "wbr"}
NOT_WORDS = r"\b(nan|None|inf|null)\b"  # what an unnoticed missing value would look like
SELECTION_COLUMNS = ("rank_difficulty", "rank_length", "rank_joint", "selected", "reason")


class Reader(HTMLParser):
    """Checks the nesting, and keeps tags, attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text += data


def assert_safe(page: str) -> Reader:
    """Balanced, nothing that runs, nothing that loads from elsewhere, every id once."""
    reader = Reader(page)
    assert not {"script", "link", "img", "iframe", "object", "embed", "form", "base"} & set(reader.tags)
    assert reader.tags.count("style") == 1
    for name, value in reader.attributes:
        assert not name.startswith("on")
        if name in {"src", "href", "xlink:href", "action", "srcset", "data"}:
            assert value.startswith("#")
    assert not re.search(r"@import|url\((?!#)|http-equiv", page)
    ids = [value for name, value in reader.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert "https://" not in page
    return reader


@pytest.fixture
def build(
    make_examples: MakeExamples, compared: Compared, manifest: dict[str, object]
) -> Callable[[pl.DataFrame], str]:
    def page(scores: pl.DataFrame) -> str:
        others, shown = compared(scores), Shown(category=pl.Series(scores["row"] % 20).cast(pl.String))
        examples = make_examples(scores)
        return selection_page(scores, manifest=manifest, examples=examples, comparison=others, shown=shown)

    return page


def test_a_selection_page_is_whole(make_scores: MakeScores, build: Callable[[pl.DataFrame], str]) -> None:
    scores = make_scores(2000)
    page = build(scores)
    reader = assert_safe(page)
    text = " ".join(reader.text.split())
    assert f"{scores['selected'].sum():,}" in text
    assert "The joint rank is 0.25 × the first + 0.75 × the second" in text
    assert "3 rows or generations could not be used" in text
    assert "Not measured in this run: contaminated." in text
    assert all(name in text for name in ("longest", "hardest", "random", "ranked_below", "pool/openr1-00.jsonl"))
    assert "characters left out here" in text
    assert len(page.encode()) < 450_000


def test_every_drawing_has_a_name_and_its_figure_a_title_and_n(
    make_scores: MakeScores, build: Callable[[pl.DataFrame], str]
) -> None:
    page = build(make_scores(2000))
    figures = re.findall(r"<figure.*?</figure>", page, re.DOTALL)
    assert len(figures) == 11
    for figure in figures:
        assert re.search(r'<svg viewBox="[^"]+" role="img" aria-label="[^"]{20,}"><title>', figure)
        assert "<h3>" in figure
        assert "n&nbsp;=&nbsp;" in figure
        assert "currentColor" in figure
        assert "#0102" not in figure
        assert "font-family" not in figure


def test_a_pool_page_says_nothing_of_a_selection(make_scores: MakeScores, manifest: dict[str, object]) -> None:
    page = analysis_page(make_scores(2000).drop(SELECTION_COLUMNS), manifest=manifest)
    text = assert_safe(page).text
    assert "Pool report" in text
    assert "Nearly chosen" not in text
    assert "selection, n" not in text


def test_a_comparison_page_is_whole(make_scores: MakeScores, compared: Compared, manifest: dict[str, object]) -> None:
    comparison = compared(make_scores(2000))
    page = comparison_page(comparison, manifest=manifest, notes=["two rows have no difficulty"])
    text = " ".join(assert_safe(page).text.split())
    assert "Two rows have no difficulty." in text
    assert "The joint ranker has the weight 0.25." in text
    for choice in comparison.choices:
        assert f'<th>{choice.strategy}</th><td class="n">{choice.figures.n:,}</td>' in page
    assert page.count("--heat:") == 8 * 8 + len(comparison.sweep.points)
    assert len(re.findall(r"<figure.*?</figure>", page, re.DOTALL)) == 2
    assert not re.search(NOT_WORDS, text)


def test_strategies_stand_beside_the_selection_with_their_overlaps(
    make_scores: MakeScores, compared: Compared, build: Callable[[pl.DataFrame], str]
) -> None:
    scores = make_scores(2000)
    hardest, page = compared(scores).choice("hardest"), build(scores)
    line = next(line for line in re.findall(r"<tr>.*?</tr>", page, re.DOTALL) if "<th>hardest</th>" in line)
    common, n = hardest.overlap["joint"], hardest.figures.n
    assert f'>{common.n:,}</td><td class="n">{100 * common.n / n:.1f}%</td>' in line
    assert f">{common.jaccard:.3f}</td>" in line
    grid = page[page.index('aria-label="Overlap of strategies"') :]
    first = re.findall(r"<th>hardest</th>\s*<td[^>]*>(\d+)</td>", grid)[0]
    assert first == f"{100 * common.n / n:.0f}"


def test_the_manifest_is_folded_away_in_plain_words(
    make_scores: MakeScores, build: Callable[[pl.DataFrame], str]
) -> None:
    page = build(make_scores(300))
    folded = page[page.index("<summary>Settings, versions and digests") :]
    assert "<bdi>cutoff len</bdi></th>" in folded
    assert "<bdi>16384</bdi>" in folded
    assert "<bdi>digests, scores.parquet</bdi>" in folded
    assert "parameters." not in page


def test_the_same_bytes_each_time(make_scores: MakeScores, build: Callable[[pl.DataFrame], str]) -> None:
    assert build(make_scores(300)) == build(make_scores(300))


ATTACKS = [
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    "</style><style>body{display:none}</style>",
    "</div></details></section>",
    "<!-- <svg onload=alert(1)>",
    "{{ 7*7 }}{% raw %}",
    "\x1b[31mred\x1b[0m\x00",
    "\u202eright to left\u2066",
    "]]></title></svg><a href='javascript:alert(1)'>",
    "مسألة: أوجد قيمة س",
]


@pytest.mark.parametrize("attack", ["".join(ATTACKS), "".join(reversed(ATTACKS)), ATTACKS[2]])
def test_pool_and_manifest_text_is_never_markup(
    attack: str, make_scores: MakeScores, make_examples: MakeExamples
) -> None:
    scores = make_scores(60)
    texts = {name: pl.lit(attack) for name in ("question", "trace", "answer", "gold", "reason")}
    best = make_examples(scores).best.with_columns(**texts)
    page = selection_page(
        scores.with_columns(reason=pl.lit(attack)),
        manifest={
            attack: attack,
            "command": [attack],
            "pool": {"layout": attack, "sources": [{"path": attack, "digest": attack, "rows": attack}]},
            "parameters": {key: attack for key in ("strategy", "preset", "difficulty", "weight", attack)},
            "versions": {attack: [attack]},
        },
        examples=Examples(best=best, nearly=best),
        comparison=None,
        shown=Shown(
            findings={"looping": [Finding(0, attack, attack, attack, Excerpt(attack, 7, attack))]},
            hits=[Hit(attack, 0, attack, 0.5, 1, 0, attack)],
            category=pl.Series([attack] * 30 + [f"{n}{attack}" for n in range(30)]),
        ),
    )
    reader = assert_safe(page)
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", page)
    assert "</style><style>body{display:none}</style>" in reader.text


def nothing_selected(scores: pl.DataFrame) -> pl.DataFrame:
    return scores.with_columns(selected=pl.lit(False), reason=pl.lit("looping"), rank_joint=None)


EDGES: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "one row": lambda s: s.head(1),
    "one row, selected": lambda s: s.filter(pl.col("selected")).head(1),
    "no row": lambda s: s.clear(),
    "nothing selected": nothing_selected,
    "everything selected": lambda s: s.with_columns(selected=pl.lit(True), reason=pl.lit("selected")),
    "no difficulty": lambda s: s.with_columns(difficulty=pl.lit(None, pl.Float64)),
    "untyped nulls": lambda s: s.with_columns(difficulty=None, looping=None, cut_off=None),
    "nan difficulty": lambda s: s.with_columns(difficulty=pl.lit(float("nan"))),
    "no null": lambda s: s.with_columns(pl.col("difficulty").fill_null(0.5), contaminated=pl.lit(False)),
    "constant lengths": lambda s: s.with_columns(trace_tokens=pl.lit(500, pl.UInt32)),
    "constant difficulty": lambda s: s.with_columns(difficulty=pl.lit(1.0)),
    "no traces": lambda s: s.with_columns(trace_tokens=pl.lit(0, pl.UInt32)),
    "nothing counted": lambda s: s.with_columns(
        pl.lit(None, pl.UInt32).alias(name) for name in ("trace_tokens", "total_tokens", "rethinking_tokens")
    ),
    "absent flags": lambda s: s.drop("looping", "cut_off", "question_group", "difficulty"),
    "wide difficulty": lambda s: s.with_columns(difficulty=pl.col("difficulty") * 7 - 2),
    "silent judge": lambda s: s.with_columns(judge_mass=pl.lit(0.02)),
}


SAID = {
    "nothing selected": "Nothing was selected.",
    "no difficulty": "No example has a difficulty",
    "untyped nulls": "Not measured in this run: looping, cut_off, contaminated.",
    "silent judge": "The judge put less than half of its probability on 0 or 1 for 100% (median 0.02).",
    "nothing counted": "Not measured: none of the 200 examples has a trace",
    "constant lengths": "Rethinking and length cannot be compared here",
}


@pytest.mark.parametrize("edge", EDGES)
def test_edges(edge: str, make_scores: MakeScores, make_examples: MakeExamples, compared: Compared) -> None:
    whole = make_scores(200)
    scores, examples = EDGES[edge](whole), make_examples(whole)
    page = selection_page(scores, manifest={}, examples=examples, comparison=compared(whole))
    text = " ".join(assert_safe(page).text.split())
    assert not re.search(NOT_WORDS, text)
    assert SAID.get(edge, "") in text


@pytest.mark.parametrize("edge", ["one row", "no row", "untyped nulls", "nothing counted"])
def test_edges_of_a_pool(edge: str, make_scores: MakeScores) -> None:
    scores = EDGES[edge](make_scores(200)).drop(SELECTION_COLUMNS)
    assert not re.search(NOT_WORDS, assert_safe(analysis_page(scores, manifest={})).text)


def test_an_unmeasured_flag_is_not_shown_as_zero(make_scores: MakeScores, build: Callable[[pl.DataFrame], str]) -> None:
    page = build(make_scores(500))
    line = next(line for line in re.findall(r"<tr>.*?</tr>", page, re.DOTALL) if ">contaminated<" in line)
    assert line.count("not measured") == 2
    assert "0%" not in line
    assert "<svg" not in line


def test_flaws_and_disagreements_are_said(make_scores: MakeScores, make_examples: MakeExamples) -> None:
    scores = make_scores(500).with_columns(looping=pl.col("selected"))
    n = int(scores["selected"].sum())
    manifest = {"asked": n + 5, "selected": n, "eligible": 7}
    page = selection_page(scores, manifest=manifest, examples=make_examples(scores), comparison=None)
    text = " ".join(Reader(page).text.split())
    assert f"{n + 5} were asked for; {n} is all that the rules left." in text
    assert f"{n} of the selected are flagged looping" in text
    assert "The manifest says 7 eligible" in text
    assert "No other strategy was compared." in text


def test_long_texts_and_long_manifests_stay_small(make_scores: MakeScores, make_examples: MakeExamples) -> None:
    scores = make_scores(200)
    best = make_examples(scores).best
    long = best.with_columns(pl.lit('"<&>' * 250_000).alias(name) for name in ("question", "trace", "answer", "gold"))
    manifest = {
        "command": "x" * 10**6,
        "pool": {"sources": [{"path": f"part-{i}.jsonl"} for i in range(5000)]},
        "outputs": {f"file-{i}": "0" * 10_000 for i in range(5000)},
    }
    page = selection_page(scores, manifest=manifest, examples=Examples(long, long), comparison=None)
    text = assert_safe(page).text
    assert "4,980 more sources" in text
    assert "4,800 more lines" in text
    assert len(page.encode()) < 1_500_000


def test_a_million_rows_give_a_small_page(make_scores: MakeScores, build: Callable[[pl.DataFrame], str]) -> None:
    assert len(build(make_scores(1_000_000)).encode()) < 500_000


def test_templates_are_read_for_a_page_alone() -> None:
    check = "import sys, select2reason.report; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
