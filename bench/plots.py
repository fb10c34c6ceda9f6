"""Draw a campaign and the sweeps as SVG, into docs/images.

python -m bench.plots [--campaign NAME]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from hdrh.histogram import HdrHistogram

from bench.results import RESULTS, valid
from bench.systems import ROOT, find

mpl.use("svg")
mpl.rcParams |= {"svg.hashsalt": "orderhalt", "svg.fonttype": "none", "axes.spines.top": False}
mpl.rcParams |= {"axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3}

from matplotlib import pyplot as plt  # noqa: E402 - after the settings above

_IMAGES: Final = ROOT / "docs" / "images"
_NINES: Final = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99)


def main() -> None:
    """Draw whatever there are results of."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--campaign", default="", help="default: the latest")
    arguments = parser.parse_args()
    sweeps = sorted(RESULTS.glob("sweep-*.json"))
    for path in sweeps:
        _save(f"bench-{path.stem}", partial(draw_sweeps, found=_read(path)))
    campaigns = [x for x in sorted(RESULTS.glob("*.json")) if "runs" in _read(x)]
    if arguments.campaign:
        campaigns = [RESULTS / f"{arguments.campaign}.json"]
    if campaigns:
        runs = list(_read(campaigns[-1])["runs"].values())
        _save("bench-drain", partial(draw_rates, runs=runs))
        _save("bench-latency", partial(draw_latency, runs=runs))


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _save(name: str, draw: Callable[[Any], None]) -> None:
    figure = plt.figure(layout="constrained")
    draw(figure)
    path = _IMAGES / f"{name}.svg"
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    print(path.relative_to(ROOT))  # noqa: T201 - a command


def draw_rates(figure: Any, runs: list[dict[str, Any]]) -> None:
    """One line a system, one dot a run; hollow where it does not count."""
    drained = [run for run in runs if run["mode"] == "drain" and "events_per_second" in run]
    best: dict[str, float] = {}
    for run in drained:
        name = run["system"]
        best[name] = max(best.get(name, 0.0), run["events_per_second"])
    names = sorted(best, key=lambda name: best[name])
    figure.set_size_inches(8, 0.5 * len(names) + 1.2)
    axes = figure.subplots()
    for run in drained:
        filled = "tab:blue" if valid(run) else "none"
        place = names.index(run["system"])
        axes.scatter(
            run["events_per_second"], place, facecolors=filled, edgecolors="tab:blue", zorder=3
        )
    systems = find()
    axes.set_yticks(range(len(names)), [_title(systems, name) for name in names])
    axes.set_xlim(left=0)
    axes.set_xlabel("events a second, one core; hollow: the run does not count")


def _title(systems: dict[str, Any], name: str) -> str:
    title = systems[name].title if name in systems else name
    return title if len(title) < 50 else title[:47] + "…"


def draw_latency(figure: Any, runs: list[dict[str, Any]]) -> None:
    """Latency by percentile: all runs of a system and rate together."""
    figure.set_size_inches(8, 4.5)
    axes = figure.subplots()
    merged: dict[str, Any] = {}
    for run in runs:
        if "histogram" in run and valid(run):
            label = f"{run['system']}, {run['mode'].replace('half', 'at half its rate')}"
            histogram = HdrHistogram.decode(run["histogram"])
            if label in merged:
                merged[label].add(histogram)
            else:
                merged[label] = histogram
    for label, histogram in merged.items():
        axes.plot(
            range(len(_NINES)),
            [histogram.get_value_at_percentile(each) / 1000 for each in _NINES],
            marker="o",
            label=label,
        )
    axes.set_xticks(range(len(_NINES)), [f"{each:g} %" for each in _NINES])
    axes.set_yscale("log")
    axes.set_ylabel("ms from when it was meant to be sent")
    if merged:
        axes.legend(fontsize="small")


def draw_sweeps(figure: Any, found: dict[str, Any]) -> None:
    """One small picture a sweep: mean cost of the events that do not touch what is moved."""
    sweeps = found["sweeps"]
    figure.set_size_inches(4 * min(3, len(sweeps)), 3 * -(-len(sweeps) // 3))
    all_axes = figure.subplots(-(-len(sweeps) // 3), min(3, len(sweeps)), squeeze=False)
    for axes in all_axes.flat[len(sweeps) :]:
        axes.set_visible(False)
    for axes, sweep in zip(all_axes.flat, sweeps.values(), strict=False):
        points = sweep["points"]
        lines = {"all that do not touch it": [point["untouched_us"] for point in points]}
        for topic in points[0]["by_topic_us"]:
            if topic not in sweep["touches"]:
                of_topic = [point["by_topic_us"].get(topic, {}) for point in points]
                lines[topic] = [each.get("median", float("nan")) for each in of_topic]
        for label, values in lines.items():
            wide = 2.5 if label.startswith("all") else 1
            axes.plot(range(len(points)), values, marker=".", linewidth=wide, label=label)
        axes.set_xticks(range(len(points)), [f"{point['value']:g}" for point in points])
        axes.set_ylim(bottom=0)
        axes.set_title(sweep["what"], fontsize="small")
    all_axes[0][0].set_ylabel("µs CPU an event")
    all_axes[0][0].legend(fontsize="xx-small", title="mean of all; median by topic")


if __name__ == "__main__":
    main()
