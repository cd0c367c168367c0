"""The explorer clicked through in headless Chromium, on the demo's pool, a real one and a hostile one."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
import uvicorn
from playwright.sync_api import Browser, Dialog, Page, Route, expect, sync_playwright

from select2reason.view import Answers, Recorded
from select2reason.view.guard import Guard
from select2reason.view.server import _listen, make_app

from .conftest import Looked, hostile_rows

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def served(looked: Looked) -> Iterator[str]:
    """The address that lets one in."""
    guard = Guard()
    options = {"cache_dir": str(looked.cache)}
    selected = int(orjson.loads((looked.folder / "manifest.json").read_bytes())["selected"])
    app = make_app(Answers(looked.open()), Recorded(tuple(map(str, looked.pools)), options, selected), guard)
    listening = _listen(None)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/?token={guard.entry}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@dataclass
class Opened:
    """A page that is ready, what it asked for elsewhere, and what went wrong on it."""

    page: Page
    address: str
    elsewhere: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def home(self) -> str:
        return self.address.split("/?")[0]

    def refuse(self, dialog: Dialog) -> None:
        self.wrong.append(dialog.message)
        dialog.dismiss()

    def go(self, hash_: str = "") -> Page:
        self.page.goto(f"{self.home}/#{hash_}")
        self.page.reload()
        self.page.wait_for_selector("html[data-ready]")
        return self.page

    def count(self) -> int:
        return int(self.page.inner_text("#count").split()[0].replace(",", ""))

    def rows(self) -> list[int]:
        return [int(row.get_attribute("data-row") or -1) for row in self.page.query_selector_all("tr[data-row]")]


Open = Callable[..., Opened]


@pytest.fixture
def opened(browser: Browser) -> Iterator[Open]:
    """Open a selection in a browser of its own; nothing may go wrong there, and nothing be asked elsewhere."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        pages: list[Opened] = []

        def open_(looked: Looked, **context: Any) -> Opened:
            address = stack.enter_context(served(looked))
            page = stack.enter_context(browser.new_context(**context)).new_page()
            one = Opened(page, address)
            page.on(
                "request",
                lambda asked: None if asked.url.startswith((one.home, "data:")) else one.elsewhere.append(asked.url),
            )
            page.on("pageerror", lambda error: one.wrong.append(str(error)))
            page.on("console", lambda said: one.wrong.append(said.text) if said.type in ("error", "warning") else None)
            page.on("dialog", one.refuse)
            page.goto(address)
            page.wait_for_selector("html[data-ready]")
            pages.append(one)
            return one

        yield open_
        for one in pages:
            assert (one.elsewhere, one.wrong) == ([], [])


def slide(page: Page, slider: str, value: float) -> None:
    page.eval_on_selector(f"#{slider}", f"it => {{ it.value = {value}; it.dispatchEvent(new Event('input')); }}")


def until(page: Page, expression: str) -> None:
    """Wait until it holds; Playwright's own way needs eval, which the page forbids."""
    for _ in range(100):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(100)
    raise AssertionError(expression)


def figure(page: Page, name: str) -> str:
    return page.locator("#figures > div", has_text=name).locator(".figure").inner_text()


@pytest.mark.parametrize("pool", ["demo", "real_traces"])
def test_the_sliders_rank_again_and_show_what_comes_in_and_goes_out(
    opened: Open, pool: str, request: pytest.FixtureRequest
) -> None:
    looked = request.getfixturevalue(pool)
    one = opened(looked)
    page = one.page
    table = pl.read_parquet(looked.folder / "scores.parquet")
    assert figure(page, "Selected") == f"{table['selected'].sum():,}"
    assert one.count() == table.height
    assert (figure(page, "Comes in"), figure(page, "Goes out")) == ("0", "0")
    slide(page, "weight", 0.9)
    expect(page.locator("#figures button.in")).to_be_enabled()
    entering = int(figure(page, "Comes in"))
    assert entering == int(figure(page, "Goes out")) > 0
    page.click("#figures button.in")
    expect(page.locator("#count")).to_have_text(f"{entering} {'example' if entering == 1 else 'examples'}")
    assert {row.inner_text() for row in page.query_selector_all("tbody .fate")} == {"comes in"}
    assert not table.filter(pl.col("row").is_in(one.rows()))["selected"].any()
    page.click("#reset")
    expect(page.locator("#count")).to_have_text("0 examples")
    assert figure(page, "Comes in") == "0"


def test_filters_search_order_and_pages(opened: Open, demo: Looked) -> None:
    one = opened(demo)
    page, table = one.page, pl.read_parquet(demo.folder / "scores.parquet")
    page.select_option("#flag", "looping")
    looping = int(table["looping"].sum())
    expect(page.locator("#count")).to_have_text(f"{looping} examples")
    page.fill("#least_tokens", "1500")
    page.keyboard.press("Enter")
    longer = table.filter(pl.col("looping") & (pl.col("trace_tokens") >= 1500)).height
    expect(page.locator("#count")).to_have_text(f"{longer} {'example' if longer == 1 else 'examples'}")
    page.click("#clear")
    expect(page.locator("#count")).to_have_text(f"{table.height} examples")
    page.fill("#search", "remainder")
    until(page, f"document.querySelector('#count').textContent !== '{table.height} examples'")
    assert 0 < one.count() < table.height
    assert any("remainder" in text.lower() for text in page.locator("td.question").all_inner_texts())
    page.fill("#search", "no question holds this")
    expect(page.locator("tbody")).to_have_text("No example is like that.")
    page.click("#clear")
    page.click("th[data-sort=trace_tokens] button")
    page.wait_for_selector("th[aria-sort=descending]")
    page.click("#later")
    expect(page.locator("#page")).to_have_text(f"51 to 100 of {table.height}")
    longest = table.sort("trace_tokens", descending=True)["trace_tokens"].slice(50, 50).to_list()
    assert [int(cell.replace(",", "")) for cell in page.locator("tbody td:nth-child(4)").all_inner_texts()] == longest


@pytest.mark.parametrize("pool", ["demo", "real_traces"])
def test_an_example_is_read(opened: Open, pool: str, request: pytest.FixtureRequest) -> None:
    one = opened(request.getfixturevalue(pool))
    page = one.page
    first, second = one.rows()[:2]
    page.click(f"tr[data-row='{first}'] a")
    reading = page.locator("#reading")
    expect(reading.locator("h2")).to_contain_text(f"Row {first:,}")
    assert reading.locator(".steps li").count() > 0
    assert reading.locator(".steps mark").count() > 0
    assert all(text.replace(",", "").isdecimal() for text in reading.locator(".steps .tokens").all_inner_texts())
    assert reading.locator(".neighbours li").count() >= 3
    page.keyboard.press("j")
    expect(reading.locator("h2")).to_contain_text(f"Row {second:,}")
    page.keyboard.press("Escape")
    expect(reading).to_be_hidden()
    page.go_back()
    expect(reading.locator("h2")).to_contain_text(f"Row {second:,}")


def test_why_a_row_was_left_out_is_said_and_leads_to_the_row_that_was_taken(opened: Open, demo: Looked) -> None:
    table = pl.read_parquet(demo.folder / "scores.parquet")
    kept = table.filter(pl.col("selected"))["question_group"]
    row = table.filter(pl.col("reason") == "same_question", pl.col("question_group").is_in(kept.implode()))["row"][0]
    page = opened(demo).go(f"row={row}")
    why = page.locator("#reading .about")
    expect(why).to_contain_text("same_question: its question already has as many traces as allowed; rank by difficulty")
    why.locator("button.inline").first.click()
    expect(page.locator("#reading h2")).to_contain_text("chosen")


def test_mathematics_is_rendered_and_shown_as_written(opened: Open, real_traces: Looked) -> None:
    page = opened(real_traces).page
    page.locator("tbody a").first.click()
    page.wait_for_selector("#reading .math .katex")
    rendered = page.locator("#reading .katex").count()
    assert rendered > 3
    page.keyboard.press("m")
    expect(page.locator("#reading .katex")).to_have_count(0)
    assert page.locator("#reading .math").first.inner_text().startswith(("$", "\\"))
    page.keyboard.press("m")
    page.wait_for_selector("#reading .math .katex")


def test_repeated_and_looping_steps_are_greyed(opened: Open, demo: Looked) -> None:
    one = opened(demo)
    table = pl.read_parquet(demo.folder / "scores.parquet")
    row = table.filter(pl.col("looping")).sort("loop_share", descending=True)["row"][0]
    page = one.go(f"row={row}")
    expect(page.locator("#reading .flags")).to_contain_text("looping")
    stale = page.locator("#reading .steps li.stale")
    assert stale.count() > 3
    assert {text for text in stale.locator(".why").all_inner_texts()} <= {"repeats an earlier step", "loops"}


def test_fast_moves_and_late_answers_leave_no_trace(opened: Open, demo: Looked) -> None:
    one = opened(demo)
    page = one.page
    seen: list[str] = page.evaluate(
        """async () => {
          const seen = new Set(), slider = document.querySelector('#weight');
          for (let i = 0; i < 120; i++) {
            slider.value = (i % 100) / 100;
            slider.dispatchEvent(new Event('input'));
            await new Promise((rest) => setTimeout(rest, 8));
            seen.add(document.querySelector('#figures .figure').textContent);
          }
          return [...seen];
        }"""
    )
    selected = pl.read_parquet(demo.folder / "scores.parquet")["selected"].sum()
    assert seen == [str(selected)]
    until(page, "location.hash.includes('weight=0.19')")

    def late(route: Route) -> None:
        page.wait_for_timeout(700)
        route.continue_()

    page.route("**/api/example/**", late)
    page.locator("tbody a").first.click()
    page.keyboard.press("Escape")
    page.wait_for_timeout(1_200)
    expect(page.locator("#reading")).to_be_hidden()


@pytest.mark.parametrize(
    ("hash_", "said"),
    [
        ("weight=2", "weight must be between 0 and 1"),
        ("flag=zz", "flag is one of"),
        ("least_tokens=abc", "least_tokens is a number"),
        ("row=99999", "there is no row 99999"),
        ("row=../choice", "row is a whole number"),
    ],
)
def test_links_that_lead_nowhere_say_so(opened: Open, demo: Looked, hash_: str, said: str) -> None:
    one = opened(demo)
    page = one.go(hash_)
    expect(page.locator("#failed")).to_contain_text(said)
    one.wrong.clear()  # the browser tells its console of every answer that is an error
    if hash_.startswith("row"):
        page.keyboard.press("Escape")
    else:
        page.evaluate("location.hash = ''")
    expect(page.locator("#failed")).to_be_hidden()


def test_every_control_has_a_name(opened: Open, demo: Looked) -> None:
    page = opened(demo).page
    assert page.get_by_role("slider", name="Weight of difficulty").count() == 1
    assert page.get_by_role("slider", name="Fraction of the eligible").count() == 1
    unnamed = """() => [...document.querySelectorAll('main input, main select')].filter((it) =>
      it.checkVisibility() && !it.labels.length && !it.ariaLabel).map((it) => it.id)"""
    assert page.evaluate(unnamed) == []


def test_a_deep_link_leads_to_what_was_looked_at(opened: Open, demo: Looked) -> None:
    one = opened(demo)
    page = one.page
    slide(page, "weight", 0.6)
    page.select_option("#shown", "selected")
    until(page, "document.querySelectorAll('tbody .fate.in').length > 0")
    row = one.rows()[1]
    page.click(f"tr[data-row='{row}']")
    expect(page.locator("#reading h2")).to_contain_text(f"Row {row:,}")
    link, rows = page.url.partition("#")[2], one.rows()
    page.goto("about:blank")
    again = one.go(link)
    expect(again.locator("#reading h2")).to_contain_text(f"Row {row:,}")
    assert again.inner_text("#weight-shown") == "0.60"
    assert one.rows() == rows


def test_a_drag_over_the_plane_filters(opened: Open, demo: Looked) -> None:
    one = opened(demo)
    page, before = one.page, one.count()
    page.locator("#plane svg").scroll_into_view_if_needed()
    box = page.locator("#plane svg").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.45 * box["width"], box["y"] + 0.3 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.6 * box["height"], steps=4)
    page.mouse.up()
    until(page, f"document.querySelector('#count').textContent !== '{before} examples'")
    table = pl.read_parquet(demo.folder / "scores.parquet")
    low, high, easy, hard = (
        float(page.input_value(f"#{end}_{name}")) for name in ("tokens", "difficulty") for end in ("least", "most")
    )
    inside = pl.col("trace_tokens").is_between(low, high) & pl.col("difficulty").is_between(easy, hard)
    assert one.count() == table.filter(inside).height > 0


def test_a_choice_is_made_into_a_selection(opened: Open, demo: Looked, tmp_path: Path) -> None:
    one = opened(demo)
    page, out = one.page, tmp_path / "chosen here"
    slide(page, "weight", 0.5)
    page.keyboard.press("e")
    for delay in (0, 10, 80):  # each key asks anew, and what was asked before is dropped
        page.fill("#out", "")
        expect(page.locator("#make")).to_be_disabled()
        page.locator("#out").press_sequentially("my-choice", delay=delay)
        expect(page.locator("#make")).to_be_enabled()
    page.fill("#out", str(out))
    expect(page.locator("#command")).to_contain_text(f"--weight 0.5 \\ --out '{out}'")
    with page.expect_download() as download:
        page.click("a.button")
    assert "weight = 0.5" in download.value.path().read_text()
    page.click("#make")
    expect(page.locator("#told.done")).to_contain_text(f"Made: {out}", timeout=60_000)
    page.keyboard.press("Escape")
    page.select_option("#shown", "selected")
    until(page, "!document.querySelector('tbody .fate:not(.chosen):not(.in)')")
    made = pl.read_parquet(out / "data" / "*.parquet")["row"].to_list()
    assert made[:50] == one.rows()
    assert len(made) == one.count()


def test_everything_goes_by_keyboard(opened: Open, demo: Looked) -> None:
    one = opened(demo)
    page = one.page
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_contain_text("less, more weight of difficulty")
    page.keyboard.press("Escape")
    page.keyboard.press("]")
    expect(page.locator("#weight-shown")).to_have_text("0.30")
    page.keyboard.press(".")
    until(page, "location.hash.includes('fraction=')")
    page.keyboard.press("/")
    page.keyboard.type("row:7")
    until(page, "document.querySelectorAll('tr[data-row]').length === 1")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("#reading h2")).to_contain_text("Row 7")


@pytest.mark.parametrize("width", [390, 800, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_stands_out_of_the_page(opened: Open, demo: Looked, width: int, scheme: str) -> None:
    one = opened(demo, viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = one.page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("tbody a").first.click()
    expect(page.locator("#reading h2")).to_be_visible()
    assert page.evaluate(
        "document.querySelector('#reading').scrollWidth <= document.querySelector('#reading').clientWidth"
    )
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (dark == "rgb(21, 24, 27)") == (scheme == "dark")


def test_a_hostile_pool_is_shown_as_text_and_runs_nothing(opened: Open, hostile: Looked) -> None:
    one = opened(hostile)
    page = one.page
    rows = hostile_rows()
    assert one.count() == len(rows)
    page.hover("tbody tr:first-child")
    for row in range(len(rows)):
        one.go(f"row={row}")
        page.wait_for_selector("#reading h2")
        page.locator("#reading").evaluate("it => it.scrollTo(0, it.scrollHeight)")
        for mark in page.query_selector_all("#reading .text, #reading .step")[:20]:
            mark.hover(timeout=2_000, force=True)
    assert page.evaluate("window.hacked") is None
    assert (
        page.evaluate(
            "document.querySelectorAll('main img, #reading img, main script, #reading script, #reading b').length"
        )
        == 0
    )
    unwanted = "#reading :is([href]:not([href^='/api/text/']), [onclick], [onerror])"
    assert page.locator(unwanted).count() == 0


def test_what_hides_or_reorders_text_is_seen(opened: Open, hostile: Looked) -> None:
    one = opened(hostile)
    names = [row["category"] for row in hostile_rows()]
    place = {
        name: at
        for at, key in enumerate(("scripts", "formulas", "directions", "terminal", "brackets"))
        for name in [key]
    }
    assert all(key in names[at] for key, at in place.items())
    page = one.go(f"row={place['scripts']}")
    assert "<script>window.hacked = 1</script>" in page.inner_text("#reading .text >> nth=0")
    page = one.go(f"row={place['directions']}")
    shown = page.inner_text("#reading")
    assert "⟦U+202E⟧" in shown
    assert "\u202e" not in shown
    page = one.go(f"row={place['terminal']}")
    shown = page.inner_text("#reading")
    assert "␛[31mred" in shown
    assert "\x1b" not in shown
    page = one.go(f"row={place['formulas']}")
    assert r"\href" in page.locator("#reading .text").first.text_content()  # type: ignore[operator]


def test_five_million_characters_do_not_hold_the_page(opened: Open, hostile: Looked) -> None:
    one = opened(hostile)
    page = one.go("row=5")
    expect(page.locator("#reading .cut")).to_contain_text("more characters; the whole text")
    assert len(page.content()) < 300_000
    page = one.go("row=6")
    steps = page.locator("#reading .steps li")
    before = steps.count()
    page.click("#reading .more")
    until(page, f"document.querySelectorAll('#reading .steps li').length > {before}")
    assert before < steps.count() < 1_000


def test_a_server_that_has_ended_is_told(browser: Browser, demo: Looked) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        with served(demo) as address:
            page.goto(address)
            page.wait_for_selector("html[data-ready]")
        slide(page, "weight", 0.8)
        expect(page.locator("#failed")).to_have_text("The server has ended: run `select2reason view` again.")
