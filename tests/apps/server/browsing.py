"""A headless Chromium, and what is done with the page of `clearair serve` in it."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

SIZE = (1280, 800)


def find_browser() -> tuple[str, str] | None:
    """The programs of Chromium and its driver; None where one is missing."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


@contextmanager
def browsing(downloads: Path) -> Iterator[Any]:
    """A headless Chromium with a fresh profile, which puts downloads into a folder and logs requests."""
    programs = find_browser()
    if programs is None:
        raise RuntimeError("Chromium and chromedriver are needed.")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = programs[0]
        for argument in (
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-quic",
            f"--user-data-dir={profile}",
        ):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        browser = webdriver.Chrome(options, webdriver.ChromeService(programs[1]))
        try:
            browser.execute_cdp_cmd(
                "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(downloads)}
            )
            see(browser, SIZE)
            yield browser
        finally:
            browser.quit()


def see(browser: Any, size: tuple[int, int], scheme: str = "light") -> None:
    """Give the page this width and height, and this colour scheme."""
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [
        {"name": "prefers-color-scheme", "value": scheme},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def add_photos(browser: Any, files: Sequence[Path]) -> None:
    """Choose files, as the dialog does."""
    wait_for(browser, "document.querySelectorAll('#chips button').length > 1")
    browser.find_element(By.ID, "files").send_keys("\n".join(str(file.resolve()) for file in files))


def drop(browser: Any, paths: Sequence[Path]) -> None:
    """Drop files and folders in the middle of the page, as from a file manager."""
    data = {"items": [], "files": [str(path.resolve()) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        event = {"type": kind, "x": SIZE[0] // 2, "y": SIZE[1] // 2, "data": data}
        browser.execute_cdp_cmd("Input.dispatchDragEvent", event)


def wait_until_done(browser: Any, timeout: float = 60) -> list[str]:
    """How each photo in the list has ended, once nothing is done to any of them."""
    ended = "['done', 'failed', 'cancelled'].includes(item.dataset.state)"
    items = "[...document.querySelectorAll('#list li')]"
    wait_for(browser, f"{items}.length && {items}.every((item) => {ended})", timeout)
    states: list[str] = browser.execute_script(f"return {items}.map((item) => item.dataset.state)")
    return states


def wait_for(browser: Any, condition: str, timeout: float = 30) -> Any:
    """What a JavaScript expression comes to, once it is true."""
    waiting = WebDriverWait(browser, timeout, poll_frequency=0.05)
    return waiting.until(lambda browser: browser.execute_script(f"return {condition}"), condition)
