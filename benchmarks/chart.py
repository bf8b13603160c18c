"""Draws how much of its limit each claim uses. Runs in an environment that has matplotlib.

``chart.py PICTURE`` reads a JSON list of bars from standard input, each with label, figure, limit, sense and text.
"""

import json
import sys

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

KEPT, MISSED, WIDEST = "#3b7a57", "#b5483a", 2.0

bars = json.load(sys.stdin)
figure, axes = plt.subplots(figsize=(11, 0.36 * len(bars) + 1.4))
for place, bar in enumerate(bars):
    smaller_is_better = bar["sense"] == "at most"
    over, under = (bar["figure"], bar["limit"]) if smaller_is_better else (bar["limit"], bar["figure"])
    used = max(over / under, 0.0) if under > 0 else float(over > 0) * WIDEST
    axes.barh(place, min(used, WIDEST), color=KEPT if used <= 1 else MISSED, height=0.62)
    axes.text(min(used, WIDEST) + 0.02, place, bar["text"], va="center", fontsize=8)
axes.axvline(1.0, color="black", linewidth=1)
axes.set_yticks(range(len(bars)), [bar["label"] for bar in bars], fontsize=8)
axes.invert_yaxis()
axes.set_xlim(0, WIDEST + 0.75)
axes.set_xlabel("share of the limit that is used; left of the line the target is kept")
axes.spines[["top", "right"]].set_visible(False)
figure.tight_layout()
figure.savefig(sys.argv[1], dpi=110)
