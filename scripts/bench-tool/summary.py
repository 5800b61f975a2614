"""Figures to medians and ratios, and these to a table."""

import statistics


def p99(values):
    """The value that one in a hundred exceeds."""
    return sorted(values)[min(len(values) - 1, len(values) * 99 // 100)]


def summary(figures):
    """Medians, p99 and ratios of each row."""
    rows = []
    for name, (unit, by_monitor) in figures.items():
        row = {"row": name, "unit": unit, "better": "more" if unit.endswith("/s") else "less"}
        for monitor, values in by_monitor.items():
            row[monitor] = {
                "n": len(values), "median": statistics.median(values), "p99": p99(values)
            }
        if "peer" in row:
            for kind in ("median", "p99"):
                base = row["peer"][kind]
                row["ratio_" + kind] = row["bulkhead"][kind] / base if base else None
        rows.append(row)
    return rows


def table(rows):
    """The summary for people."""
    lines = [("", "", "better", "n", "median", "p99", "peer's", "p99", "ratio", "p99")]
    for row in rows:
        ours, peer = row["bulkhead"], row.get("peer")
        line = [row["row"], row["unit"], row["better"], str(ours["n"])]
        line += [f"{side[kind]:.0f}" if side else "-"
                 for side in (ours, peer) for kind in ("median", "p99")]
        ratios = [row.get("ratio_" + kind) for kind in ("median", "p99")]
        lines.append((*line, *(f"{r:.2f}" if r is not None else "-" for r in ratios)))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        cells = [cell.ljust(w) if at < 3 else cell.rjust(w)
                 for at, (cell, w) in enumerate(zip(line, widths))]
        print("  ".join(cells).rstrip())
