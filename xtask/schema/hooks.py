"""Gives schemathesis ids that exist: random ones name nothing, so every answer would be 404."""

import itertools
import json
import os
import urllib.request

import schemathesis

BASE = os.environ["SCHEMA_BASE"]
TOKEN = os.environ["SCHEMA_TOKEN"]

# What stands before the id in a path, or how a field of a body is called: the list that knows such ids.
LISTS = {
    "servers": "/servers",
    "endpoints": "/endpoints",
    "sites": "/sites",
    "users": "/users",
    "tokens": "/tokens",
    "agents": "/agents",
    "jobs": "/jobs",
    "endpoint_id": "/endpoints",
    "agent_id": "/agents",
    "site_id": "/sites",
}
# Ids are asked for again after so many uses, because requests add and remove things.
STALE_AFTER = 20

turn = itertools.count()
known = {}


def ask(path):
    request = urllib.request.Request(f"{BASE}{path}?limit=50", headers={"authorization": f"Bearer {TOKEN}"})
    if path in ("/users", "/tokens", "/agents"):
        request.full_url = f"{BASE}{path}"
    with urllib.request.urlopen(request, timeout=10) as answer:
        items = json.load(answer)["items"]
    # Without the token in use nothing would be answered any more.
    return [item["id"] for item in items if not TOKEN.startswith(item.get("prefix", "-"))]


def ids(path):
    used, found = known.get(path, (STALE_AFTER, []))
    if used >= STALE_AFTER:
        used, found = 0, ask(path)
    known[path] = (used + 1, found)
    return found


# What was there at the beginning is never removed: later requests need it.
KEPT = {one for path in set(LISTS.values()) for one in ids(path)}


def existing(path, method):
    found = [one for one in ids(path) if method != "DELETE" or one not in KEPT]
    return found[next(turn) % len(found)] if found else None


def in_path(case, method):
    parts = case.operation.path.strip("/").split("/")
    for before, part in zip(parts, parts[1:]):
        name = part.strip("{}")
        if part == name or name not in case.path_parameters:
            continue
        path = LISTS.get(before)
        if before == "connections" and "id" in case.path_parameters:
            path = f"/servers/{case.path_parameters['id']}/connections"
        try:
            one = existing(path, method) if path else None
        except OSError:
            one = None
        if one:
            case.path_parameters[name] = one


@schemathesis.hook
def before_call(context, case, kwargs):
    # One in four keeps what was made up.
    if next(turn) % 4 == 0:
        return
    if isinstance(case.path_parameters, dict):
        in_path(case, case.method.upper())
    if isinstance(case.body, dict):
        for name in LISTS.keys() & case.body.keys():
            if isinstance(case.body[name], str):
                case.body[name] = existing(LISTS[name], "GET") or case.body[name]
