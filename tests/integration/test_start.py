# SPDX-License-Identifier: MIT
"""Where and as whom a node starts."""
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest

from harness import START_S, STOP_S, find_binary


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder that only root may pass")
def test_a_node_started_as_root_works_below_a_folder_only_root_may_pass():
    parent = Path(tempfile.mkdtemp(prefix="qmn-closed-"))  # 0700
    log = open(parent / "log", "wb+")
    node = subprocess.Popen([str(find_binary().resolve()), "--data-dir", "data", "--listen", "127.0.0.1:0"], cwd=parent,
                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + START_S
        url = None
        while time.monotonic() < deadline and not url:
            text = (parent / "log").read_text()
            assert node.poll() is None, text
            url = next((w.split("=", 1)[1].strip('"') for w in text.split() if w.startswith("url=")), None)
            time.sleep(0.02)
        assert url, (parent / "log").read_text()
        key = (parent / "data" / "admin-key").read_text().strip()
        headers = {"X-API-Key": key, "Content-Type": "application/json"}
        for path, body in [("/v1/tenants", b'{"id": "closed", "name": "Closed"}'), ("/v1/node:backup", b"{}")]:
            request = urllib.request.Request(url + path, data=body, headers=headers, method="POST")
            with urllib.request.urlopen(request, timeout=STOP_S) as answer:
                assert answer.status in (200, 201)
        assert "\nUid:\t0" not in Path(f"/proc/{node.pid}/status").read_text()
    finally:
        node.terminate()
        node.wait(STOP_S)
        shutil.rmtree(parent)
