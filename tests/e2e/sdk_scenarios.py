# SPDX-License-Identifier: MIT
"""What the published SDK does against a node; run by test_sdk.py in a process of its own, whose
Python sees the SDK and what it needs before anything else.

    sdk_scenarios.py NAME URL KEY [KEY=VALUE ...]
"""
import asyncio
import math
import random
import sys

import httpx
from qilbee_mycelial_network import MycelialClient
from qilbee_mycelial_network.models import Nutrient, Outcome, Sensitivity
from qilbee_mycelial_network.settings import QMNSettings

DIM = 1536  # the SDK takes no other


def vector(seed):
    rng = random.Random(seed)
    values = [rng.gauss(0, 1) for _ in range(DIM)]
    length = math.sqrt(sum(v * v for v in values))
    return [v / length for v in values]


def near(a, b):
    return abs(a - b) < 1e-6


async def loop(client, _):
    registered = await client.register_agent(
        "code-reviewer-01", vector("review"), capabilities=["code_review"], tools=["git.diff"],
        name="Code Reviewer", skills=["python"], description="reviews", metadata={"a": 1})
    assert registered["agent_id"] == "code-reviewer-01" and registered["created_at"]
    agent = await client.get_agent("code-reviewer-01")
    assert agent["name"] == "Code Reviewer" and agent["capabilities"] == ["code_review"]
    await client.register_agent("asker", vector("asker"))
    agents = await client.list_agents(status_filter="active", capability="code_review", limit=10)
    assert [a["agent_id"] for a in agents] == ["code-reviewer-01"]

    nutrient = Nutrient.seed(summary="Need a review", embedding=vector("review"), snippets=["auth.py"],
                             tool_hints=["code_review"], sensitivity=Sensitivity.INTERNAL, ttl_sec=60,
                             max_hops=1, source_agent_id="asker", trace_task_id="task")
    sent = await client.broadcast(nutrient)
    assert sent["nutrient_id"] == nutrient.id and sent["routed_to"][0] == "code-reviewer-01"
    assert sent["routing_scores"]["code-reviewer-01"] > 0 and sent["trace_id"]
    assert (await client.broadcast(nutrient))["trace_id"] == sent["trace_id"]  # as its retry would

    stored = await client.hyphal_store(
        agent_id="code-reviewer-01", kind="insight", content={"knowledge": "check the salts"},
        embedding=vector("review"), quality=0.95, sensitivity="internal")
    found = await client.hyphal_search(
        embedding=vector("review"), top_k=15, filters={"kind": "insight", "quality": {"$gt": 0.8}})
    assert [r.id for r in found] == [stored["id"]] and found[0].similarity > 0.999
    assert found[0].content == {"knowledge": "check the salts"} and found[0].created_at.tzinfo
    assert await client.hyphal_search(embedding=vector("review"), filters={"kind": "plan"}) == []

    context = await client.collect(demand_embedding=vector("review"), window_ms=100, top_k=5,
                                   diversify=True, trace_task_id="task")
    assert context.contents[0]["agent_id"] == "code-reviewer-01"
    assert context.contents[0]["data"] == {"knowledge": "check the salts"}
    assert context.source_agents == ["code-reviewer-01"] and near(context.quality_scores[0], 0.95)
    assert context.metadata["memories_considered"] >= 1

    rated = await client.record_outcome(context.trace_id, Outcome.with_score(0.85, reason="x"))
    assert rated["success"] is True and rated["trace_id"] == context.trace_id
    hops = await client.record_outcome(
        sent["trace_id"], Outcome.with_hop_scores(1.0, {"code-reviewer-01": 0.5}))
    scores = [c["hop_score"] for c in hops["weight_changes"] if c["dst"] == "code-reviewer-01"]
    assert scores == [0.5]

    assert await client.deactivate_agent("code-reviewer-01") is None
    assert (await client.get_agent("code-reviewer-01"))["status"] == "suspended"


async def store_first(client, _):
    """As scripts do that never register anybody."""
    stored = await client.hyphal_store(agent_id="some-script", kind="snippet", content={"code": "pass"},
                                       embedding=vector("script"))
    assert stored["agent_id"] == "some-script"
    found = await client.hyphal_search(embedding=vector("script"), top_k=1)
    assert [r.id for r in found] == [stored["id"]]
    assert (await client.get_agent("some-script"))["status"] == "active"


async def usage(client, given):
    got = await client.get_usage()
    assert got["tenant_id"] == given["expect"]
    assert got["nutrients_sent"] >= 0 and isinstance(got["quota_remaining"], dict)
    assert got["current_usage"] is not None and got["quota"]["nutrients"] == 100000


async def health(client, _):
    for service in ("router", "memory", "identity", "keys", "policies", "reinforcement"):
        answer = await client.health(service)
        assert answer["status"] == "healthy" and answer["region"]


async def keys(client, _):
    made = await client.create_key(name="ci", scopes=["*"], rate_limit_per_minute=500, expires_in_days=7)
    assert made["api_key"] and (await client.validate_key(made["api_key"]))["valid"] is True
    assert made["id"] in [k["id"] for k in await client.list_keys()]
    await client.revoke_key(made["id"])
    assert (await client.validate_key(made["api_key"]))["valid"] is False
    assert (await client.create_key())["api_key"]  # scopes left out


async def rotate(client, given):
    rotated = await client.rotate_key(grace_period_sec=7200)
    assert rotated["new_api_key"] and rotated["new_api_key"] != given["key"]
    print(rotated["new_api_key"])


async def policies(client, _):
    made = await client.create_policy("no secrets", "dlp", {"max_sensitivity": "internal"}, description="d")
    assert made["id"] and made["policy_type"] == "dlp"
    assert made["id"] in [p["id"] for p in await client.list_policies("dlp")]
    assert made["id"] not in [p["id"] for p in await client.list_policies("rbac")]
    assert (await client.evaluate_policy("dlp", {"sensitivity": "secret"}))["allowed"] is False
    assert (await client.evaluate_policy("dlp", {"sensitivity": "public"}))["allowed"] is True


async def tenants(client, _):
    made = await client.create_tenant("sdk-tenant", "SDK", plan_tier="pro", metadata={"m": 1})
    assert made["id"] == "sdk-tenant" and made["status"] == "active"
    assert (await client.get_tenant("sdk-tenant"))["plan_tier"] == "pro"
    assert "sdk-tenant" in [t["id"] for t in await client.list_tenants(status_filter="active", limit=1000)]
    changed = await client.update_tenant("sdk-tenant", status="suspended")
    assert changed["status"] == "suspended" and changed["plan_tier"] == "pro" and changed["name"] == "SDK"
    assert await client.delete_tenant("sdk-tenant") is None
    assert (await client.get_tenant("sdk-tenant"))["status"] == "deleted"


async def absent(client, _):
    try:
        await client.get_agent("nobody")
    except httpx.HTTPStatusError as failure:
        assert failure.response.status_code == 404
    else:
        raise AssertionError("an agent that is not there was found")


async def main(name, url, key, *given):
    given = dict(pair.split("=", 1) for pair in given)
    settings = QMNSettings(api_key=key, tenant_id=given.get("tenant"), auto_retry=False, api_base_url=url)
    async with MycelialClient(settings) as client:
        await globals()[name](client, dict(given, key=key))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
