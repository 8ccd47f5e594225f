"""A headless Chromium, spoken to over a pair of pipes (its DevTools protocol): no driver, no port, nothing to install beside it."""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["CHROMIUM", "Browser", "browser"]

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
KEYS = {"Tab": 9, "Enter": 13, "ArrowRight": 39, "ArrowLeft": 37}


class Browser:
    """One tab of it."""

    def __init__(self, reads: int, writes: int) -> None:
        self.reads, self.writes = reads, writes
        self.waiting, self.number, self.session = b"", 0, ""
        self.logged: list[str] = []
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.tell(f"{domain}.enable")

    def tell(self, method: str, **parameters: Any) -> Any:
        """Send a command; returns its result. What the page complains of meanwhile is kept in `logged`."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.writes, json.dumps(message).encode() + b"\0")
        while True:
            told = self._next()
            params = told.get("params", {})
            if "exceptionDetails" in params or params.get("entry", {}).get("level") == "error":
                self.logged.append(json.dumps(params)[:500])
            if told.get("id") == self.number:
                assert "error" not in told, told
                return told["result"]

    def _next(self) -> Any:
        deadline = time.monotonic() + 60
        while b"\0" not in self.waiting:
            ready, _, _ = select.select([self.reads], [], [], deadline - time.monotonic())
            if not ready:
                raise TimeoutError("the browser does not answer")
            found = os.read(self.reads, 1 << 20)
            if not found:
                raise EOFError("the browser is gone")
            self.waiting += found
        message, _, self.waiting = self.waiting.partition(b"\0")
        return json.loads(message)

    def open(self, address: str, width: int = 1200, height: int = 900) -> None:
        self.tell(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.tell("Page.navigate", url="about:blank")
        self.tell("Page.navigate", url=address)

    def run(self, script: str) -> Any:
        found = self.tell("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, script: str, seconds: float = 30) -> Any:
        """What the script says once it is true."""
        deadline = time.monotonic() + seconds
        while not (found := self.run(script)):
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"never true: {script}; {self.logged}; {self.run('document.body.innerText')[:800]}"
                )
            time.sleep(0.1)
        return found

    def press(self, key: str, text: str = "") -> None:
        code = KEYS.get(key, 0)
        for kind in ("keyDown", "keyUp"):
            given = {"text": text} if text and kind == "keyDown" else {}
            self.tell(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **given
            )

    def write(self, text: str) -> None:
        self.tell("Input.insertText", text=text)

    def picture(self, file: Path) -> Path:
        shown = self.tell("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shown["data"]))
        return file


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser for the time of a `with` block, with a profile of its own."""
    (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
               "--remote-debugging-pipe", f"--user-data-dir={profile}"]  # fmt: skip
    script = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
    with subprocess.Popen(
        ["bash", "-c", script, "bash", CHROMIUM, *options],
        pass_fds=(theirs_in, theirs_out),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            yield Browser(ours_in, ours_out)
        finally:
            process.terminate()
            process.wait(timeout=20)
            os.close(ours_in)
            os.close(ours_out)
