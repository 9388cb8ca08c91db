"""The first lines of README.md work when they are pasted, and the examples do what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from conftest import Server

HERE = Path(__file__).resolve().parents[1]


def test_the_first_lines_work_when_pasted(server: Server) -> None:
    block = re.search(r"```python\n(.*?)```", (HERE / "README.md").read_text("utf-8"), re.S)
    assert block is not None
    text = block.group(1).replace("ws://127.0.0.1:7070", server["websocket"])
    assert text != block.group(1)
    ran = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=20, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert re.fullmatch(r"\d+ b'hello'\n", ran.stdout)


def test_a_sensor_is_watched(server: Server) -> None:
    url = server["websocket"]
    watch = [sys.executable, str(HERE / "examples" / "watch.py"), url, "sensors", "--count", "3"]
    watcher = subprocess.Popen(watch, stdout=subprocess.PIPE, text=True)
    try:
        assert watcher.stdout is not None
        assert watcher.stdout.readline() == "snapshot\n"
        sensor = [sys.executable, str(HERE / "examples" / "sensor.py"), server["tcp"], "sensors", "--every", "0.01"]
        ran = subprocess.run([*sensor, "--count", "3"], capture_output=True, text=True, timeout=20, check=False)
        assert (ran.returncode, ran.stderr) == (0, "")
        lines = watcher.stdout.read().splitlines()
        assert len(lines) == 3
        assert all(re.fullmatch(r"tick \d+: member \d+ sent \{.*\"celsius\".*\}", line) for line in lines)
        assert watcher.wait(20) == 0
    finally:
        watcher.kill()
        watcher.wait()
        if watcher.stdout is not None:
            watcher.stdout.close()


def test_measuring(server: Server) -> None:
    measure = [sys.executable, str(HERE / "examples" / "measure.py"), server["tcp"], "--events", "2000"]
    ran = subprocess.run(measure, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert re.search(r"2000 events of 32 bytes in [\d.]+ s: \d+ a second", ran.stdout)
