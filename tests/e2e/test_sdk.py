# SPDX-License-Identifier: MIT
"""The published Python SDK, version 0.2.0, unmodified, against the node (sdk_scenarios.py)."""
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import CALL_S, ROOT

SDK = "qilbee-mycelial-network==0.2.0"


@pytest.fixture(scope="module")
def packages():
    """The folder that holds the SDK and what it needs: installed once per build folder."""
    tag = hashlib.sha256(sys.version.encode()).hexdigest()[:8]
    folder = Path(os.environ.get("QMN_BUILD") or ROOT / "build") / f"sdk-{tag}"
    if not (folder / "complete").exists():
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
             "--ignore-installed", "--target", str(folder), SDK], capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            pytest.skip(f"{SDK} cannot be installed: {done.stderr.strip()[-300:]}")
        (folder / "complete").write_text(SDK)
    return folder


@pytest.fixture
def sdk(packages, node):
    def run(scenario, key, **given):
        pairs = [f"{name}={value}" for name, value in given.items()]
        env = dict(os.environ, PYTHONPATH=str(packages), PYTHONDONTWRITEBYTECODE="1")
        done = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("sdk_scenarios.py")), scenario,
             f"http://127.0.0.1:{node.port}", key, *pairs],
            capture_output=True, text=True, timeout=CALL_S, env=env)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()
    return run


@pytest.fixture(scope="module")
def tenant(make_tenant):
    return make_tenant(dim=1536, plan="pro")


def test_the_whole_loop(sdk, tenant):
    sdk("loop", tenant.key)


def test_memories_of_nobody_registered(sdk, tenant):
    sdk("store_first", tenant.key)


def test_usage_without_a_tenant_says_none_in_its_path(sdk, tenant):
    sdk("usage", tenant.key, expect=tenant.id)


def test_usage_with_a_tenant(sdk, tenant):
    sdk("usage", tenant.key, expect=tenant.id, tenant=tenant.id)


def test_health_of_each_service(sdk, tenant):
    sdk("health", tenant.key)


def test_keys(sdk, tenant):
    sdk("keys", tenant.key)


def test_rotation_leaves_the_old_key_its_grace(sdk, tenant):
    old = tenant.new_key()
    new = sdk("rotate", old)
    for key in (old, new):
        tenant.with_key(key).get("/v1/agents", expect=200)


def test_policies(sdk, tenant):
    sdk("policies", tenant.key)


def test_tenants_as_an_admin(sdk, admin):
    sdk("tenants", admin.key)


def test_failures_are_http_errors(sdk, tenant):
    sdk("absent", tenant.key)
