"""The table: medians over rounds, and ratios as the median of the rounds' own ratios, for rounds are paired."""
import os
import pathlib
import platform
import re
import statistics


def machine():
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return {"cpu": cpu.group(1) if cpu else platform.machine(), "cores": os.cpu_count(), "kernel": platform.release(),
            "load_average": os.getloadavg()}


def _values(rounds, scenario, target, key):
    return [r[scenario][target][key] for r in rounds if target in r.get(scenario, {})]


def _line(title, cells):
    return f"| {title} | " + " | ".join(cells) + " |"


def _ratio(rounds, scenario, target, base, key):
    both = [r[scenario] for r in rounds if {target, base} <= r.get(scenario, {}).keys()]
    ratios = [figures[target][key] / figures[base][key] for figures in both if figures[base][key]]
    return f"{statistics.median(ratios):.2f}" if ratios else "n/a"


def _cell(values, form):
    """Median, with the lowest and the highest round."""
    if not values:
        return "failed"
    middle, low, high = (format(f(values), form) for f in (statistics.median, min, max))
    return middle if low == high else f"{middle} ({low}–{high})"


def _scenario_lines(scenario, rounds, targets, base):
    others = [t for t in targets if t != base]
    for row in scenario.rows:
        cells = [_cell(_values(rounds, scenario.name, t, row.key), row.form) for t in targets]
        if base in targets:
            cells += [_ratio(rounds, scenario.name, t, base, row.key) if row.ratio else "" for t in others]
        yield _line(f"{scenario.title}: {row.title}", cells)


def _way(way):
    return ", passed through" if way["passed"] else ""


def _instruction_lines(instructions, targets, base):
    for way in instructions["ways"]:
        yield from _way_lines(instructions["method"], way, targets, base)


def _way_lines(method, way, targets, base):
    names = {"instructions:u": "user space", "instructions:k": "kernel"}
    events = [e for e in names if any(e in counts for counts in way["targets"].values())]
    for event in events:
        counts = {t: way["targets"].get(t, {}).get(event) for t in targets}
        cells = [f"{counts[t]:,.0f}" if counts[t] else "failed" for t in targets]
        if base in targets:
            cells += [f"{counts[t] / counts[base]:.2f}" if counts[t] and counts[base] else "n/a"
                      for t in targets if t != base]
        yield _line(f"instructions an exchange{_way(way)}, {names[event]} ({method})", cells)


PARTS = {"callgrind": ("objects", "by program and library"), "step": ("threads", "by thread, in the order they were made")}


def _parts(instructions, targets):
    """Where a counter says more than the sum."""
    key, title = PARTS.get((instructions or {}).get("method"), (None, None))
    if key is None:
        return
    for way in instructions["ways"]:
        yield from ("", f"User-space instructions of one exchange{_way(way)} {title}:", "")
        yield from _way_parts(way, key, targets)


def _way_parts(way, key, targets):
    for target in targets:
        parts = way["targets"].get(target, {}).get(key)
        if parts:
            yield f"* {target}: " + ", ".join(f"{name} {cost:,}" for name, cost in list(parts.items())[:6])


def _durability(result, scenarios):
    """What a record on disk adds to the p50, in units of the disk's own sync: each round by itself, then their median."""
    for scenario in scenarios:
        both = [r[scenario.name] for r in result["rounds"] if {"sluice", "sluice-ram"} <= r.get(scenario.name, {}).keys()]
        units = [(f["sluice"]["p50_us"] - f["sluice-ram"]["p50_us"]) / f["sluice"]["sync_us"]
                 for f in both if f["sluice"].get("sync_us")]
        if units:
            yield f"{scenario.title}: p50 added by durability: {statistics.median(units):.2f} of one fdatasync's p50."


def markdown(result, scenarios, base="nginx"):
    targets = list(result["targets"])
    heads = targets + ([f"{t} / {base}" for t in targets if t != base] if base in targets else [])
    out = [_line("measure", heads), "|---|" + "---:|" * len(heads)]
    if result["instructions"]:
        out += _instruction_lines(result["instructions"], targets, base)
    for scenario in scenarios:
        out += _scenario_lines(scenario, result["rounds"], targets, base)
    out += _parts(result["instructions"], targets)
    out += ["", *_durability(result, scenarios)]
    m = result["machine"]
    versions = ", ".join(result["targets"][t]["version"] for t in targets)
    out += ["", f"{versions}; {m['cores']} × {m['cpu']}, Linux {m['kernel']}; load average before "
                f"{m['load_average'][0]:.1f}; {len(result['rounds'])} rounds of {result['seconds']:g} s: "
                "median (lowest–highest)."]
    out += [f"Not measured: {name}: {why}." for name, why in result["unavailable"].items()]
    return "\n".join(out) + "\n"
