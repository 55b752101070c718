"""The pages in a real Chromium: charts are drawn, nothing is blocked, nothing overflows, everyone can use them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page

from mlhealth.causes.owners import whom_to_call
from mlhealth.clock import HOUR
from mlhealth.records import Reason
from tests.report_builder import START, Story, report
from tests.store_builder import FilledStore
from tests.web_server import application, served

MODEL = "/models/loan-default/versions/3"
WINDOW = f"{MODEL}/windows/{START + 31 * HOUR}"
FEATURE = f"{MODEL}/features/income"
BASELINES = f"{MODEL}/baselines"
VERSIONS = "/models/loan-default/versions"
FLEET = ("/alerts", "/retraining", "/audit", "/monitor", "/settings", "/docs", "/login", "/nowhere")
PAGES = ("/", MODEL, WINDOW, FEATURE, BASELINES, VERSIONS, *FLEET)
PHONE = {"width": 360, "height": 740}
LONG = "a_model_whose_name_goes_on_" * 6
RTL = "نموذج القروض"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service with a model whose input broke, one of each odd kind, and alerts."""
    store = FilledStore(tmp_path_factory.mktemp("site"))
    store.add_loans()
    store.add_stream()
    store.add_story(replace(Story(), version="4", falls=range(44, 46)))
    store.mark("loan-default", "4", "deploy", "canary at 5 %")
    store.add_story(replace(Story(), model=LONG, version="2026-01-01T00.00.00-build-" * 3))
    store.add_story(replace(Story(), model=RTL, version="١"))
    store.add_story(replace(Story(), model="one-window", windows=1))
    store.add_story(replace(Story(), model="cannot-tell", unknown=range(48)))
    store.add_version("expected", "1", "expected")
    with served(application(store)) as address:
        yield address


@pytest.fixture
def faults(page: Page) -> Iterator[list[str]]:
    """Everything the page's console and network complained about; a test ends with none."""
    found: list[str] = []
    page.on(
        "console",
        lambda message: found.append(message.text) if message.type in {"error", "warning"} else None,
    )
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("request", lambda request: found.append(request.url) if foreign(request.url) else None)
    yield found
    assert found == []


def foreign(url: str) -> bool:
    """Whether an address leads away from this machine."""
    return url.startswith("http") and not url.startswith("http://127.0.0.1:")


def look(page: Page, address: str) -> None:
    """Open a page and wait until each of its charts is drawn."""
    page.goto(address)
    for plot in page.query_selector_all(".plot"):
        plot.scroll_into_view_if_needed()
        plot.wait_for_selector("svg.main-svg", state="attached")


def overflow(page: Page) -> int:
    """Return by how many pixels the page is wider than the screen."""
    return int(page.evaluate("document.documentElement.scrollWidth - innerWidth"))


def serious(page: Page) -> list[str]:
    """Return axe's serious and critical findings, each with the elements it names."""
    found = Axe().run(page).response["violations"]
    bad = [v for v in found if v["impact"] in {"serious", "critical"}]
    return [f"{v['id']}: {[node['target'] for node in v['nodes']][:3]}" for v in bad]


def test_model_page_draws_its_charts_without_a_fault(page: Page, site: str, faults: list[str]) -> None:
    """Estimate, health, drift and timeline are drawn by Plotly under the strict policy, from this service alone."""
    look(page, site + MODEL)
    titles = page.locator(".chart figcaption h2").all_inner_texts()
    assert titles == [
        "Estimated accuracy",
        "What happened",
        "Health score and its parts",
        "Drift by feature",
    ]
    assert page.locator(".plot .main-svg").count() >= len(titles)
    assert page.locator("#now").inner_text().startswith("Estimated accuracy is 8")


def test_window_page_tells_why_and_draws_the_distributions(page: Page, site: str, faults: list[str]) -> None:
    """The reasons stand on top, then the feature that broke, drawn beside the baseline."""
    look(page, site + WINDOW)
    assert "income arrives 100× too large" in page.locator(".reasons").inner_text()
    assert page.locator(".chart figcaption h2").first.inner_text() == "income"
    assert page.locator(".grid .plot .main-svg").count() >= 8
    assert "region=north" in page.locator("main").inner_text()


def test_whose_case_it_is_is_said_once(page: Page, tmp_path: Path, faults: list[str]) -> None:
    """The advice stands apart; the findings beside it do not repeat it, and beyond the first four are folded."""
    told = report(Story(), 30)
    cause = told.health.cause
    assert cause is not None
    texts = [f"finding {n}" for n in range(6)]
    texts.insert(1, f"{cause}, a case for {whom_to_call(cause)}")
    reasons = tuple(Reason(text, cause=cause) for text in texts)
    store = FilledStore(tmp_path)
    store.add_version("loan-default", "3")
    store.add_reports([replace(told, health=replace(told.health, reasons=reasons))])
    with served(application(store)) as address:
        for path in (MODEL, f"{MODEL}/windows/{told.key.start}"):
            page.goto(address + path)
            assert page.locator(".advice").count() == 1
            assert page.locator(".hero").inner_text().count("case for") == 1
            page.get_by_text("2 more findings").click()
            assert page.get_by_text("finding 5").is_visible()


def test_overview_leads_to_the_window_that_broke(page: Page, site: str, faults: list[str]) -> None:
    """From the fleet to the reason takes two clicks: the model, then a window."""
    look(page, site)
    page.goto(f"{site}/?q=loan-default+3")
    page.get_by_role("link", name="loan-default").click()
    page.locator(".windows tbody tr", has_text="Critical").first.get_by_role("link").click()
    assert "Broken input" in page.locator(".advice").inner_text()


def test_a_click_on_a_point_opens_its_window(page: Page, site: str, faults: list[str]) -> None:
    """Points of the charts are links to their windows."""
    look(page, site + MODEL)
    plot = page.locator(".plot").first
    plot.scroll_into_view_if_needed()
    box = plot.locator(".scatterlayer .point").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 3, box["y"] + 3)
    plot.locator(".hoverlayer .hovertext").first.wait_for()
    page.mouse.click(box["x"] + 3, box["y"] + 3)
    page.wait_for_url("**/windows/*")


def test_search_and_status_stay_in_the_address(page: Page, site: str, faults: list[str]) -> None:
    """A slash jumps to the search, which narrows the fleet and can be linked to."""
    page.goto(site)
    page.keyboard.press("/")
    page.keyboard.type("LOAN")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?q=LOAN*")
    assert page.locator(".fleet tbody tr").count() == 2


def test_period_and_metric_stay_in_the_address(page: Page, site: str, faults: list[str]) -> None:
    """Choosing a period and a metric gives an address that shows the same again."""
    look(page, site + MODEL)
    page.get_by_role("navigation", name="Period").get_by_role("link", name="24h").click()
    page.get_by_label("Metric").select_option("roc_auc")
    page.wait_for_url("**metric=roc_auc*")
    assert "range=24h" in page.url
    assert page.locator(".chart figcaption h2").first.inner_text() == "Estimated ROC AUC"


def test_the_period_goes_along_to_a_window_and_back(page: Page, site: str, faults: list[str]) -> None:
    """From a model over 24 hours to one of its windows, its neighbour, a feature and back, the period stays chosen."""
    page.goto(f"{site}{MODEL}?range=24h")
    page.locator(".windows tbody a").nth(3).click()
    page.wait_for_url("**/windows/*?range=24h")
    page.get_by_role("link", name="earlier").click()
    page.wait_for_url("**/windows/*?range=24h")
    page.get_by_role("region", name="Features").get_by_role("link", name="income").click()
    page.wait_for_url("**/features/income?*range=24h*")
    page.get_by_role("navigation", name="Breadcrumb").get_by_role("link", name="loan-default").click()
    page.wait_for_url(f"**{MODEL}?range=24h")


def test_refresh_renews_the_page_in_place(page: Page, site: str, faults: list[str]) -> None:
    """With ?refresh=1 the page fetches itself again, and its charts come back."""
    look(page, f"{site}{MODEL}?refresh=1")
    page.evaluate("document.querySelector('h1').dataset.old = 'yes'")
    page.wait_for_selector("h1:not([data-old])")
    page.wait_for_selector(".plot.drawn")


def test_a_new_window_appears_on_the_open_page(page: Page, tmp_path: Path, faults: list[str]) -> None:
    """A page that is open is told of a window that closes, and shows it without being loaded again."""
    store = FilledStore(tmp_path)
    store.add_loans()
    with served(application(store)) as address:
        look(page, f"{address}{MODEL}?range=all")
        page.locator("#live[data-state=on]").wait_for()
        page.evaluate("window.mark = 1; document.querySelector('h1').dataset.old = 'yes'")
        store.add_reports([report(replace(Story(), windows=60), 48)])
        store.close(START + 49 * HOUR)
        page.locator(".windows tbody tr").first.filter(has_text="2026-03-03 00:00").wait_for(timeout=20_000)
        assert page.evaluate("window.mark") == 1
        page.wait_for_selector(".plot.drawn")


def test_a_feature_of_a_window_leads_to_its_history(page: Page, site: str, faults: list[str]) -> None:
    """From a window to the feature that broke it: since when it moved, what is wrong, how it lies."""
    look(page, site + WINDOW)
    page.get_by_role("region", name="Features").get_by_role("link", name="income").click()
    page.wait_for_url("**/features/income?*")
    assert page.locator(".chart figcaption h2").all_inner_texts() == ["Drift", "Quality", "income"]
    assert "98.0 % out of range" in page.locator(".reasons").inner_text()


def test_versions_stand_side_by_side(page: Page, site: str, faults: list[str]) -> None:
    """From a model to its versions: a verdict in words, charts of both, and the choice kept in the address."""
    look(page, site + MODEL)
    page.get_by_role("link", name="Versions").click()
    page.wait_for_url("**/versions")
    assert (
        page.locator("#verdict")
        .inner_text()
        .startswith("Versions 3 and 4 cannot be told apart: accuracy +2.5 pp")
    )
    titles = page.locator(".chart figcaption h2").all_inner_texts()
    assert titles == ["Estimated accuracy", "Challenger less champion", "How differently they answer"]
    page.get_by_label("Champion").select_option("4")
    page.wait_for_url("**champion=4*")
    page.get_by_role("navigation", name="Period").get_by_role("link", name="24h").click()
    page.wait_for_url("**champion=4&challenger=3&range=24h*")
    assert "canary at 5 %" in page.get_by_role("region", name="History").last.inner_text()


def test_a_version_is_promoted_and_rolled_back_by_hand(page: Page, tmp_path: Path, faults: list[str]) -> None:
    """With a note, a version becomes the champion, and the one before it again; both are in the history."""
    store = FilledStore(tmp_path)
    store.add_loans()
    store.add_story(replace(Story(), version="4"))
    with served(application(store)) as address:
        for version in ("3", "4"):
            look(page, address + VERSIONS)
            row = page.locator("tbody tr", has=page.get_by_role("link", name=version, exact=True)).first
            row.locator("summary").click()
            row.get_by_label("Why").fill(f"{version} did well")
            row.get_by_role("button").click()
            row.get_by_text("champion").wait_for()
        page.locator(".head summary").click()
        page.get_by_label("Why").first.fill("complaints")
        page.locator(".head").get_by_role("button", name="Roll back").click()
        champion = page.locator("tbody tr", has_text="champion").first
        champion.wait_for()
        assert champion.get_by_role("rowheader").inner_text() == "3"
        kinds = page.get_by_role("region", name="History").last.locator("tbody tr td:nth-child(2)")
        assert kinds.all_inner_texts() == ["rollback", "promote", "promote"]


def test_the_fleet_says_why_and_counts_no_retired_version(
    page: Page, tmp_path: Path, faults: list[str]
) -> None:
    """A model that is not well has its first reason beside it; a retired one is last, whatever its last score."""
    store = FilledStore(tmp_path)
    store.add_story(replace(Story(), model="broken", windows=30))
    store.add_story(replace(Story(), model="well", windows=6))
    store.add_story(replace(Story(), model="gone", windows=30))
    store.set_state("gone", "3", "retired")
    with served(application(store)) as address:
        page.goto(address)
        rows = page.locator(".fleet tbody tr")
        assert "Estimated accuracy fell from 88.2 % to 74.5 %" in rows.first.inner_text()
        assert "gone" in rows.last.inner_text()
        counts = page.get_by_role("list", name="Model versions by status").all_inner_texts()[0].split()
        assert counts == ["3", "all", "1", "critical", "1", "healthy", "1", "retired"]


def test_a_page_is_acknowledged_on_a_phone(page: Page, tmp_path: Path, faults: list[str]) -> None:
    """The button for who is woken at night is on the screen of a phone, and tells who took it."""
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    store = FilledStore(tmp_path)
    store.add_loans()
    with served(application(store)) as address:
        page.goto(f"{address}/alerts")
        button = page.get_by_role("button", name="Acknowledge")
        box = button.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= PHONE["width"]
        button.click()
        page.get_by_text("anyone on this machine").first.wait_for()


def test_the_fleet_can_be_sorted(page: Page, site: str, faults: list[str]) -> None:
    """A click on a heading sorts by it, says so to screen readers, and stays in the address."""
    page.goto(site)
    page.get_by_role("columnheader", name="Model").get_by_role("link").click()
    page.wait_for_url("**sort=name*")
    names = page.locator(".fleet .name a").all_inner_texts()
    assert names == sorted(names, key=str.casefold)
    assert page.locator("th[aria-sort]").inner_text().startswith("Model")


def test_the_audit_page_tells_of_a_broken_chain(page: Page, tmp_path: Path, faults: list[str]) -> None:
    """An act stands in the trail, can be found by who did it, and a changed row is seen."""
    store = FilledStore(tmp_path)
    store.add_loans()
    with served(application(store)) as address:
        page.goto(f"{address}/alerts")
        page.get_by_role("button", name="Acknowledge").click()
        page.goto(f"{address}/audit?action=alert.acknowledge")
        assert "The chain holds" in page.locator("#chain").inner_text()
        assert page.locator("tbody tr").count() == 1
        store.forge_audit()
        page.goto(f"{address}/audit")
        assert "The chain is broken" in page.locator("#chain").inner_text()


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_accessibility_fault(browser: Browser, site: str, path: str, scheme: str) -> None:
    """axe-core finds nothing serious on any page, in light and dark."""
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light")
    page = context.new_page()
    look(page, site + path)
    assert serious(page) == []
    context.close()


@pytest.mark.parametrize(
    "path",
    [*PAGES, f"/models/{LONG}/versions/{'2026-01-01T00.00.00-build-' * 3}", f"/models/{RTL}/versions/١"],
)
def test_a_phone_needs_no_sideways_scroll(page: Page, site: str, path: str) -> None:
    """No page is wider than a phone, whatever the names."""
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    look(page, site + path)
    assert overflow(page) == 0


@pytest.mark.parametrize(
    ("model", "words"), [("one-window", "Estimated accuracy is"), ("cannot-tell", "cannot be told")]
)
def test_thin_models_have_whole_pages(
    page: Page, site: str, faults: list[str], model: str, words: str
) -> None:
    """One window is enough for a page; where nothing can be told, the page says so."""
    look(page, f"{site}/models/{model}/versions/3")
    assert words in page.locator("#now").inner_text()


def test_an_expected_version_says_what_it_waits_for(page: Page, site: str, faults: list[str]) -> None:
    """A version with a baseline and no events explains how events find it."""
    page.goto(f"{site}/models/expected/versions/1")
    assert "none of its events has arrived" in page.locator(".empty").inner_text()


def test_without_models_the_overview_teaches_the_first_step(
    page: Page, tmp_path: Path, faults: list[str]
) -> None:
    """Every page of an empty store renders, and the first tells how to push a baseline."""
    with served(application(FilledStore(tmp_path))) as address:
        page.goto(address)
        assert "mlhealth baseline push" in page.locator(".empty").inner_text()
        for path in ("/alerts", "/retraining", "/audit", "/monitor", "/settings"):
            page.goto(address + path)
            assert page.locator("h1").count() == 1
        assert serious(page) == []


def test_three_hundred_models_are_one_page(page: Page, tmp_path: Path, faults: list[str]) -> None:
    """A fleet of 300 is one page, worst first (`make bench-screens` measures how soon it is painted)."""
    store = FilledStore(tmp_path)
    for n in range(300):
        store.add_story(
            replace(Story(), model=f"model-{n:03}", windows=6, falls=range(5, 6) if n == 123 else range(0))
        )
    with served(application(store)) as address:
        page.goto(address)
        assert page.locator(".fleet tbody tr").count() == 300
        assert "model-123" in page.locator(".fleet tbody tr").first.inner_text()


def test_login_opens_the_pages_and_logout_closes_them(page: Page, tmp_path: Path) -> None:
    """With a token in the store, pages ask for it, come back to where one was going, and close again."""
    store = FilledStore(tmp_path)
    store.add_loans()
    text = store.add_token("reader", "read")
    with served(application(store)) as address:
        page.goto(f"{address}/alerts?refresh=30")
        page.get_by_label("Token").fill("mlh_wrong_token")
        page.get_by_role("button", name="Log in").click()
        assert "not known" in page.get_by_role("alert").inner_text()
        page.get_by_label("Token").fill(text)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url("**/alerts?refresh=30")
        page.get_by_role("button", name="Log out").click()
        page.goto(f"{address}/alerts")
        assert "/login" in page.url
