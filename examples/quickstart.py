#!/usr/bin/env python3
# Two agents in a network of their own: one asks, the other listens, responds and is rated.
# Needs a running node (make up), its admin key and nothing but Python.
import json, os, time, urllib.request
URL, KEY = os.environ.get("QMN_URL", "http://127.0.0.1:8022"), open(os.environ.get("QMN_API_KEY_FILE", "var/data/admin-key")).read().strip()
def call(path, body=None):
    return json.load(urllib.request.urlopen(urllib.request.Request(URL + path, body and json.dumps(body).encode(), {"X-API-Key": KEY, "Content-Type": "application/json"})))
# A network of our own, and a key that is a member of it and no admin: from here on KEY is that one.
KEY = call("/v1/keys", {"tenant_id": call("/v1/tenants", {"id": f"quickstart-{time.time_ns()}", "name": "quickstart"})["id"], "expires_in_days": 1})["api_key"]
call("/v1/agents:register", {"agent_id": "dba", "capabilities": ["sql"], "profile": {"text": "slow postgres queries, indexes, locks"}})
call("/v1/agents:register", {"agent_id": "shop", "profile": {"text": "online shop: orders, checkout"}})
sent = call("/v1/nutrients:broadcast", {"source_agent_id": "shop", "summary": "slow query on orders", "text": "slow postgres query on orders", "tool_hints": ["sql"]})
for nutrient in call("/v1/agents/dba/nutrients?wait_ms=5000")["nutrients"]:
    print("dba received:", nutrient["summary"])
    call(f"/v1/nutrients/{nutrient['nutrient_id']}:respond", {"agent_id": "dba", "content": {"text": "orders lacks an index on day"}, "quality": 0.9})
    call("/v1/agents/dba/nutrients:ack", {"nutrient_ids": [nutrient["nutrient_id"]]})
print("shop collected:", [c["data"]["text"] for c in call("/v1/contexts:collect", {"agent_id": "shop", "text": "why is the query on orders slow?"})["contents"]])
for change in call("/v1/outcomes:record", {"agent_id": "shop", "trace_id": sent["trace_id"], "outcome_score": 1.0})["weight_changes"]:
    print(f"edge {change['src']} -> {change['dst']}: {change['old_weight']:.3f} -> {change['new_weight']:.3f}")
