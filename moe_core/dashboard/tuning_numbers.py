"""The title and the number row of the tuning page."""

from moe_core.analysis import tuning
from moe_core.charts.theme import spoken
from moe_core.dashboard.context import PageContext
from moe_core.dashboard.widgets import Number, percent

METRICS = ("points_against_dense", "encoder_flops", "expert_compute", "load_imbalance")
BOUND = 0.5  # points, the loss that the title asks for


def finding(ctx: PageContext, measured: tuning.Measurements | None) -> str:
    """The cheapest measured setting within the bound, in one sentence."""
    if measured is None:
        return ctx.t("Choose a setting and see which answers change")
    return tuning.finding(tuning.mean_quality(measured.quality), BOUND).text(ctx.t)


def numbers(ctx: PageContext, measured: tuning.Measurements, budget: float) -> list[Number]:
    """Quality, FLOPs, expert compute and busiest expert at the measured point nearest to `budget`."""
    t = ctx.t
    means = tuning.mean_quality(measured.quality)
    rows = means[means["rule"] == tuning.ADAPTIVE]
    if rows.empty:
        return []
    point = rows.loc[(rows["budget"] - budget).abs().idxmin()]
    at = t("measured at budget {budget:.2f}; {tasks} tasks").format(
        budget=float(point["budget"]), tasks=int(point["tasks"])
    )
    found = [
        Number(
            metric="points_against_dense",
            value=f"{point['delta']:+.1f}",
            basis=t("95% interval {low:+.1f} to {high:+.1f}; worst task: {name} with {worst:+.1f}; {at}").format(
                low=float(point["low"]),
                high=float(point["high"]),
                name=spoken(point["worst_task"], t),
                worst=float(point["worst"]),
                at=at,
            ),
        ),
        Number(
            metric="encoder_flops",
            value=percent(float(point["flops_ratio"])),
            basis=t("of the dense original; {at}").format(at=at),
        ),
        Number(
            metric="expert_compute",
            value=percent(float(point["active_fraction"])),
            basis=t("of the dense original; {at}").format(at=at),
        ),
    ]
    load = measured.load
    if len(load):
        row = load.loc[(load["budget"] - float(point["budget"])).abs().idxmin()]
        found.append(
            Number(
                metric="load_imbalance",
                value=f"{row['busiest_ratio']:.1f}×",
                basis=t("busiest expert against an equal share; {dead} dead, {cold} cold").format(
                    dead=int(row["dead"]), cold=int(row["cold"])
                ),
            )
        )
    return found
