"""The page in a real browser, against a real server."""

import base64
import importlib.util
import json
import re
import time
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from clearair.degrading import degrade_photo
from clearair.image import Photo, read_photo, write_photo

pytest.importorskip("selenium")
pytest.importorskip("fastapi")

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.apps.server import browsing as pages
from tests.apps.server.serving import serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(pages.find_browser() is None, reason="needs chromium and chromedriver"),
]

WIDE, NARROW = (1280, 900), (360, 740)
TRANSFORMS = "[...document.querySelectorAll('.layer')].map((layer) => layer.style.transform)"
EXPOSURE = "document.querySelector('image-compare').style.getPropertyValue('--exposure')"
KEY = "open sesame, open"
ASKS = "document.querySelector('#key-dialog').open"
STATE = "document.querySelector('#state').textContent"
EXPECTED = re.compile(
    r"Failed to load resource: the server responded with a status of 4\d\d|"
    r"Blocked attempt to show a 'beforeunload' confirmation panel"  # where a test did not touch the page
)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("server"), "--queue", "3", "--max-mb", "4") as server:
        yield f"{server.address}/"


@pytest.fixture(scope="module")
def downloads(tmp_path_factory):
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def browser(downloads):
    with pages.browsing(downloads) as browser:
        yield browser


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Files by name."""
    folder = tmp_path_factory.mktemp("photos")
    clean = np.ascontiguousarray(skimage.data.chelsea()[60:220, 100:340])
    noisy = degrade_photo(Photo(clean), ("noise",), strength=0.5, seed=1)
    for name in ("photo.jpg", "other.png", "scan.tif"):
        write_photo(noisy, folder / name)
    large = np.tile(noisy.pixels, (2, 2, 1))
    write_photo(Photo(np.ascontiguousarray(large)), folder / "large.jpg", quality=80)
    turned = Image.fromarray(noisy.pixels)
    exif = turned.getexif()
    exif[0x0112] = 6  # to be turned by a quarter
    exif[0x010F] = "a camera"
    turned.save(folder / "turned.jpg", exif=exif, quality=90)
    whole = (folder / "photo.jpg").read_bytes()
    (folder / "half.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    (folder / "notes.jpg").write_text("This is text, not a picture.")
    (folder / "huge.png").write_bytes(bytes(5 << 20))
    return {file.name: file for file in folder.iterdir()}


@pytest.fixture
def page(browser, address):
    """The page without photos; afterwards nothing may have gone wrong in it, and no other host been asked."""
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.get(address)
    pages.see(browser, WIDE)
    pages.wait_for(browser, "document.querySelectorAll('#chips button').length > 1")
    yield browser
    messages = [entry["message"] for entry in browser.get_log("browser")]
    assert [message for message in messages if not EXPECTED.search(message)] == []
    assert {url for url in requested(browser) if not url.startswith((address, "blob:"))} == set()


def requested(browser):
    """The addresses that were asked for since the log was read the last time."""
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            yield message["params"]["request"]["url"]


def jobs_sent(browser):
    """The queries of the jobs that the page has sent since the log was read the last time."""
    return [url.partition("?")[2] for url in requested(browser) if "/v1/jobs?" in url]


def restore(page, *files):
    pages.add_photos(page, files)
    assert pages.wait_until_done(page) == ["done"] * len(files)


def seen(page, condition):
    return page.execute_script(f"return {condition}")


def pressed(page):
    """The names of the chips that are on."""
    chips = page.find_elements(By.CSS_SELECTOR, "#chips [aria-pressed=true]")
    return [re.sub(r" \d+ %", "", chip.text) for chip in chips]


def press(page, *keys):
    ActionChains(page).send_keys(*keys).perform()


def give(page, event, file):
    """Drop or paste a file."""
    content = base64.b64encode(file.read_bytes()).decode()
    page.execute_script(
        """
        const [event, name, content] = arguments;
        const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([bytes], name));
        const made = event === "paste"
          ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true })
          : new DragEvent(event, { dataTransfer: data, bubbles: true, cancelable: true });
        document.body.dispatchEvent(made);
        """,
        event,
        file.name,
        content,
    )


def downloaded(downloads, name):
    """The file of this name, once it is there."""
    file = downloads / name
    for _ in range(100):
        if file.exists():
            return file
        time.sleep(0.05)
    raise AssertionError(f"{name} was not downloaded: {list(downloads.iterdir())}")


def axe_source():
    """The source of axe, from whichever of its packages is installed."""
    for package in ("axe_core_python", "axe_playwright_python"):
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            return (Path(spec.origin).parent / "axe.min.js").read_text(encoding="utf-8")
    return pytest.skip("needs axe-core-python")


def test_a_photo_is_restored_and_its_damage_named(page, photos):
    restore(page, photos["photo.jpg"])
    assert "restored" in seen(page, STATE)
    assert "Noise" in pressed(page)
    assert pressed(page)[0] == "Automatic"
    assert "of 5" in page.find_element(By.ID, "score").text
    sizes = seen(page, "[...document.querySelectorAll('img.photo')].map((image) => image.naturalWidth)")
    assert sizes == [240, 240]


def test_chips_restore_again_with_exactly_those_kinds(page, photos):
    restore(page, photos["photo.jpg"])
    found = pressed(page)[1:]
    jobs_sent(page)
    page.find_element(By.CSS_SELECTOR, "[data-kind=haze]").click()
    assert pages.wait_until_done(page) == ["done"]
    kinds = sorted({*(name.lower() for name in found), "haze"})
    assert pressed(page) == [name for name in ("Noise", "Haze") if name.lower() in kinds]
    (query,) = jobs_sent(page)
    assert sorted(re.search(r"damage=([^&]*)", query)[1].split("%2C")) == kinds

    for chip in page.find_elements(By.CSS_SELECTOR, "#chips [aria-pressed=true]"):
        chip.click()
    assert pages.wait_until_done(page) == ["done"]
    (query,) = jobs_sent(page)  # two switches, one restoration
    assert "damage=none" in query
    assert "left as it is" in seen(page, STATE).lower()

    page.find_element(By.CSS_SELECTOR, "#chips button").click()
    assert pages.wait_until_done(page) == ["done"]
    assert pressed(page) == ["Automatic", *found]


def test_strength_and_what_to_keep_are_options_of_the_job(page, photos):
    restore(page, photos["photo.jpg"])
    jobs_sent(page)
    page.find_element(By.ID, "keep-tone").click()
    page.find_element(By.ID, "keep-metadata").click()
    page.find_element(By.ID, "strength").send_keys(Keys.ARROW_LEFT * 10)
    assert pages.wait_until_done(page) == ["done"]
    (query,) = jobs_sent(page)
    assert {"strength=0.5", "keep_tone=true", "metadata=keep"} <= set(query.split("&"))
    assert page.find_element(By.ID, "strength-value").text == "50 %"


def test_divider_moves_by_keyboard_and_by_its_handle(page, photos):
    restore(page, photos["photo.jpg"])
    stage = page.find_element(By.ID, "stage")
    page.execute_script("document.querySelector('image-compare').shadowRoot.querySelector('input').focus()")
    press(page, Keys.ARROW_LEFT * 3)
    pages.wait_for(page, f"{EXPOSURE} === '47%'")
    width = stage.size["width"]
    ActionChains(page).move_to_element_with_offset(
        stage, round(-0.03 * width), 0
    ).click_and_hold().move_by_offset(width // 4, 0).release().perform()
    assert 65 <= int(pages.wait_for(page, EXPOSURE).rstrip("%")) <= 80


def test_one_transform_moves_both_pictures(page, photos):
    pages.see(page, NARROW)
    restore(page, photos["large.jpg"])
    level = page.find_element(By.ID, "zoom-level")
    assert level.text != "100 %"
    page.find_element(By.ID, "zoom-full").click()
    pages.wait_for(page, "document.querySelector('#zoom-level').textContent === '100 %'")
    boxes = seen(
        page,
        "[...document.querySelectorAll('img.photo')].map((image) => image.getBoundingClientRect().toJSON())",
    )
    assert boxes[0] == boxes[1]
    assert boxes[0]["width"] == pytest.approx(240 * 2, abs=0.5)  # one pixel of the picture, one of the screen
    assert boxes[0]["left"] == pytest.approx(round(boxes[0]["left"]), abs=0.01)

    before = seen(page, TRANSFORMS)
    stage = page.find_element(By.ID, "stage")
    exposure = seen(page, EXPOSURE)
    ActionChains(page).move_to_element_with_offset(stage, -80, 60).click_and_hold().move_by_offset(
        40, 30
    ).release().perform()
    after = pages.wait_for(page, f"{TRANSFORMS}[0] !== '{before[0]}' && {TRANSFORMS}")
    assert after[0] == after[1]
    assert seen(page, EXPOSURE) == exposure

    ActionChains(page).scroll_from_origin(ScrollOrigin.from_element(stage, 100, 50), 0, -100).perform()
    zoomed = pages.wait_for(page, f"{TRANSFORMS}[0] !== '{after[0]}' && {TRANSFORMS}")
    assert zoomed[0] == zoomed[1]
    assert int(level.text.split()[0]) > 100

    page.execute_script("arguments[0].focus()", stage)
    press(page, "0")
    fitted = pages.wait_for(page, f"{TRANSFORMS}[0].endsWith('scale(1)') && {TRANSFORMS}")
    assert fitted[0] == fitted[1]


def test_regions_can_be_laid_over_the_picture(page, photos):
    restore(page, photos["photo.jpg"])
    overlays = "[...document.querySelectorAll('img.regions')]"
    assert seen(page, f"{overlays}.every((image) => image.hidden)")
    page.find_element(By.ID, "show-regions").click()
    pages.wait_for(page, f"{overlays}.every((image) => !image.hidden && image.naturalWidth > 0)")
    assert "noise" in page.find_element(By.ID, "regions").text


def test_download_gives_the_restored_file(page, photos, downloads):
    restore(page, photos["photo.jpg"])
    page.find_element(By.ID, "download").click()
    result = read_photo(downloaded(downloads, "photo.restored.jpg"))
    assert result.size == (240, 160)
    assert (result.pixels != read_photo(photos["photo.jpg"]).pixels).any()


def test_all_are_downloaded_with_names_of_their_own(page, photos, downloads):
    restore(page, photos["photo.jpg"], photos["other.png"])
    pages.add_photos(page, [photos["photo.jpg"]])
    assert pages.wait_until_done(page) == ["done"] * 3
    page.find_element(By.ID, "download-all").click()
    with zipfile.ZipFile(downloaded(downloads, "restored.zip")) as archive:
        assert archive.namelist() == ["photo.restored.jpg", "other.restored.png", "photo (2).restored.jpg"]
        for name in archive.namelist():
            assert read_photo(archive.read(name)).size == (240, 160)


def test_metadata_is_dropped_unless_kept(page, photos, downloads):
    restore(page, photos["turned.jpg"])
    upright = "image.naturalWidth === 160 && image.naturalHeight === 240"
    assert seen(page, f"[...document.querySelectorAll('img.photo')].every((image) => {upright})")
    page.find_element(By.ID, "download").click()
    file = downloaded(downloads, "turned.restored.jpg")
    with Image.open(file) as stripped:
        assert 0x010F not in stripped.getexif()
    file.unlink()
    page.find_element(By.ID, "keep-metadata").click()
    assert pages.wait_until_done(page) == ["done"]
    page.find_element(By.ID, "download").click()
    with Image.open(downloaded(downloads, "turned.restored.jpg")) as kept:
        assert kept.getexif()[0x010F] == "a camera"


def test_a_format_that_browsers_cannot_show_has_previews(page, photos):
    restore(page, photos["scan.tif"])
    pages.wait_for(
        page, "[...document.querySelectorAll('img.photo')].every((image) => image.naturalWidth === 240)"
    )
    assert page.find_element(By.ID, "download").get_attribute("download") == "scan.restored.tif"
    assert not page.find_element(By.ID, "stage-note").is_displayed()


def test_what_cannot_be_read_is_said(page, photos):
    pages.add_photos(page, [photos["notes.jpg"]])
    assert pages.wait_until_done(page) == ["failed"]
    assert "picture" in seen(page, STATE)
    assert not page.find_element(By.ID, "retry").is_displayed()
    assert not page.find_element(By.ID, "found-box").is_displayed()


def test_what_is_left_of_a_damaged_file_is_restored_when_asked_for(page, photos):
    pages.add_photos(page, [photos["half.jpg"]])
    assert pages.wait_until_done(page) == ["failed"]
    assert "damaged" in seen(page, STATE)
    page.find_element(By.ID, "salvage").click()
    assert pages.wait_until_done(page) == ["done"]
    assert not page.find_element(By.ID, "salvage").is_displayed()
    assert page.find_element(By.ID, "notes").is_displayed()


def test_a_file_that_is_too_large_is_not_sent(page, photos):
    pages.add_photos(page, [photos["huge.png"]])
    assert pages.wait_until_done(page) == ["failed"]
    assert seen(page, STATE) == "This file has 5 MiB; the server takes at most 4 MiB."
    assert jobs_sent(page) == []


def test_cancel_and_try_again(page, photos):
    pages.add_photos(page, [photos["large.jpg"]])
    pages.wait_for(page, "document.querySelector('#list li').dataset.state === 'running'")
    page.find_element(By.ID, "cancel").click()
    assert pages.wait_until_done(page) == ["cancelled"]
    assert seen(page, "document.activeElement.id") == "retry"  # the focus stays where it can be used
    page.find_element(By.ID, "retry").click()
    assert pages.wait_until_done(page) == ["done"]
    page.find_element(By.CSS_SELECTOR, "#list .stop").click()
    assert page.find_element(By.ID, "welcome").is_displayed()
    assert seen(page, "document.activeElement.id") == "choose"


def test_waits_while_the_server_is_busy(page, photos, address):
    busy = []
    body = photos["large.jpg"].read_bytes()
    try:
        while len(busy) < 4:  # one is worked on, three wait
            request = urllib.request.Request(f"{address}v1/jobs", body, method="POST")
            with urllib.request.urlopen(request, timeout=30) as answer:
                busy.append(json.load(answer)["links"]["self"])
        pages.add_photos(page, [photos["photo.jpg"]])
        pages.wait_for(page, f"{STATE}.includes('busy')")
    finally:
        for link in busy:
            urllib.request.urlopen(
                urllib.request.Request(f"{address}{link}", method="DELETE"), timeout=30
            ).close()
    assert pages.wait_until_done(page) == ["done"]


@pytest.fixture
def locked(browser, tmp_path):
    """The page of a server that has a key, with its dialog open."""
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    with serving(tmp_path, "--api-key-file", str(file)) as server:
        browser.get(server.address)
        pages.see(browser, WIDE)
        pages.wait_for(browser, ASKS)
        yield browser


def test_asks_for_the_key(locked, photos):
    press(locked, "wrong", Keys.ENTER)
    words = "document.querySelector('#key-text').textContent"
    pages.wait_for(locked, f"{ASKS} && {words}.includes('not accept')")
    press(locked, "no header holds \u20ac", Keys.ENTER)
    pages.wait_for(locked, ASKS)
    press(locked, KEY, Keys.ENTER)
    restore(locked, photos["photo.jpg"])
    assert seen(locked, "[localStorage.length, sessionStorage.length, document.cookie]") == [0, 1, ""]


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_photos_are_dropped_and_pasted(page, photos, event):
    give(page, event, photos["photo.jpg"])
    assert pages.wait_until_done(page) == ["done"]


def test_folders_are_dropped_with_all_that_is_in_them(page, photos, tmp_path):
    (tmp_path / "trip" / "deeper").mkdir(parents=True)
    for place in ("a.jpg", "deeper/b.jpg", ".hidden.jpg"):
        (tmp_path / "trip" / place).write_bytes(photos["photo.jpg"].read_bytes())
    (tmp_path / "trip" / "notes.txt").write_text("no photo")
    (tmp_path / "empty").mkdir()
    pages.wait_for(page, "document.querySelectorAll('#chips button').length > 1")
    pages.drop(page, [tmp_path / "trip", photos["other.png"], tmp_path / "empty"])
    pages.wait_for(page, "document.querySelectorAll('#list li').length === 3")
    assert pages.wait_until_done(page) == ["done"] * 3
    names = [name.text for name in page.find_elements(By.CSS_SELECTOR, "#list .name")]
    assert names == ["other.png", "a.jpg", "b.jpg"]
    assert "no photos in the folder empty" in page.find_element(By.ID, "trouble").text


def test_leaving_asks_while_there_is_something_to_lose(page, photos, downloads):
    leave = "!dispatchEvent(new Event('beforeunload', { cancelable: true }))"
    assert not seen(page, leave)
    restore(page, photos["photo.jpg"])
    assert seen(page, leave)
    page.find_element(By.ID, "download").click()
    downloaded(downloads, "photo.restored.jpg")
    assert not seen(page, leave)


def test_everything_can_be_reached_by_keyboard(page, photos):
    press(page, Keys.TAB)
    assert seen(page, "document.activeElement.id") == "choose"
    restore(page, photos["photo.jpg"])
    assert seen(page, "document.activeElement.className") == "select"  # its button went, the photo's came
    reached = []
    for _ in range(40):
        press(page, Keys.TAB)
        focused = seen(page, "document.activeElement.id || document.activeElement.tagName.toLowerCase()")
        if focused == "body" or focused in reached[-1:] == ["docs"]:
            break
        reached.append(focused)
        if focused == "stage":
            press(page, "+", Keys.ARROW_RIGHT)
            pages.wait_for(page, f"{TRANSFORMS}[0].endsWith('scale(1.25)')")
    wanted = ["stage", "image-compare", "zoom-in", "download", "strength", "keep-tone", "keep-metadata"]
    assert [name for name in reached if name in wanted] == wanted
    assert len(page.find_elements(By.CSS_SELECTOR, "#chips button")) == reached.count("button") - 1

    page.execute_script("document.querySelector('[data-kind=haze]').focus()")
    press(page, Keys.SPACE)
    assert pages.wait_until_done(page) == ["done"]
    assert "Haze" in pressed(page)


def test_screen_readers_are_told_what_happens(page, photos):
    restore(page, photos["photo.jpg"])
    status = page.find_element(By.ID, "status")
    assert status.get_attribute("role") == "status"
    assert "photo.jpg: Restored" in status.get_attribute("textContent")


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessible_and_not_too_wide(page, photos, size, scheme):
    page.execute_script(axe_source())
    pages.see(page, size, scheme)
    run = "const done = arguments[0]; axe.run().then((result) => done(result.violations))"
    grave = [page.execute_async_script(run)]
    pages.add_photos(page, [photos["photo.jpg"], photos["notes.jpg"]])
    assert pages.wait_until_done(page) == ["done", "failed"]
    page.find_element(By.ID, "show-regions").click()
    grave.append(page.execute_async_script(run))
    found = [
        (rule["id"], [node["html"][:200] for node in rule["nodes"]])
        for rules in grave
        for rule in rules
        if rule["impact"] in ("serious", "critical")
    ]
    assert found == []
    assert seen(page, "document.documentElement.scrollWidth <= window.innerWidth")


def test_names_of_downloads(page):
    names = page.execute_async_script(
        """
        const done = arguments[0];
        import("./static/names.js").then(({ restoredName, uniqueNames }) => done([
          restoredName("a.b.JPG", ".jpg"), restoredName("scan", ".png"), restoredName(".png", ".png"),
          ...uniqueNames(["a.restored.jpg", "A.restored.jpg", "a.restored.jpg", "a.restored.png"]),
        ]));
        """
    )
    assert names[:3] == ["a.b.restored.jpg", "scan.restored.png", "photo.restored.png"]
    assert names[3:] == ["a.restored.jpg", "A (2).restored.jpg", "a (3).restored.jpg", "a.restored.png"]


def test_a_key_that_is_not_given_is_asked_for_once(locked, photos):
    press(locked, Keys.ESCAPE)
    pages.wait_for(locked, "!document.querySelector('#trouble').hidden")
    chosen = "\n".join(str(photos[name]) for name in ("photo.jpg", "other.png", "scan.tif", "turned.jpg"))
    locked.find_element(By.ID, "files").send_keys(chosen)
    pages.wait_for(locked, ASKS)
    press(locked, Keys.ESCAPE)
    assert pages.wait_until_done(locked) == ["failed"] * 4
    assert not seen(locked, ASKS)
    locked.find_element(By.ID, "retry-all").click()
    pages.wait_for(locked, ASKS)
    press(locked, KEY, Keys.ENTER)
    assert pages.wait_until_done(locked) == ["done"] * 4
    assert seen(locked, "document.querySelector('#trouble').hidden")
    assert seen(locked, "document.querySelectorAll('#chips button').length > 1")


def test_settings_for_all_also_reach_a_cancelled_photo(page, photos):
    pages.add_photos(page, [photos["large.jpg"], photos["other.png"]])
    page.find_element(By.CSS_SELECTOR, "#list .stop").click()
    assert pages.wait_until_done(page) == ["cancelled", "done"]
    page.find_elements(By.CSS_SELECTOR, "#list .select")[1].click()
    page.find_element(By.ID, "keep-metadata").click()
    page.find_element(By.ID, "use-for-all").click()
    assert pages.wait_until_done(page) == ["cancelled", "done"]
    page.find_elements(By.CSS_SELECTOR, "#list .select")[0].click()
    assert page.find_element(By.ID, "keep-metadata").is_selected()
    list(requested(page))
    page.find_element(By.ID, "retry").click()
    assert pages.wait_until_done(page) == ["done", "done"]
    assert ["metadata=keep" in query for query in jobs_sent(page)] == [True]
