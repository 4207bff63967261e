"""The card that compares assignments with gate mass, expert by expert, for one layer."""

from moe_core.charts import load_balance
from moe_core.dashboard import filters, widgets
from moe_core.dashboard.context import PageContext
from moe_core.dashboard.data import Balance
from moe_core.dashboard.why_link import why_link


def layer_card(ctx: PageContext, balance: Balance) -> None:
    """A layer to choose, and its experts by load and by gate mass."""
    t = ctx.t
    with widgets.card(
        t("Do assignments and gate mass tell the same story?"), t("One layer; × of an equal share"), key="load_gate"
    ):
        layer = filters.layer_choice(ctx, balance.layers)
        rows = balance.experts[balance.experts["layer"] == layer]
        widgets.chart(
            load_balance.load_and_gate(rows, t=t, dark=ctx.dark),
            key="load_gate_chart",
            alt=load_balance.load_and_gate_alt(rows, t=t),
        )
        busiest = int(rows.loc[rows["n"].idxmax(), "expert_id"])
        label = t("Explain a decision about expert {expert}, the busiest of layer {layer}")
        why_link(ctx, label.format(expert=busiest, layer=layer), layer=layer, expert=busiest)
