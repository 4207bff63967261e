"""What every shown number means: name, formula, unit, ideal value, caveat, source.

It feeds the tooltips and formulas on screen. A test finds an entry for every metric that a page shows.
All texts are msgids; formulas are LaTeX.
"""

from dataclasses import dataclass

from moe_core.analysis.message import N_


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricInfo:
    """One metric. `ideal` says which value is best and why; `caveat` what the number does not show."""

    key: str
    name: str
    meaning: str
    formula: str
    unit: str
    ideal: str
    caveat: str
    source: str


_ENTRIES = (
    MetricInfo(
        key="expert_compute",
        name=N_("Expert compute"),
        meaning=N_("Share of the expert computations that ran; the dense original runs all of them."),
        formula=r"\frac{\sum_r T_r\, a_r}{\sum_r T_r}",
        unit=N_("% of the dense original"),
        ideal=N_("As low as the answers allow; 100% is the dense original."),
        caveat=N_("Counts the experts only, not attention. It says nothing about wall time."),
        source=N_("Counted in the log: active fraction a of each request r, weighted by its tokens T."),
    ),
    MetricInfo(
        key="points_against_dense",
        name=N_("Points against dense"),
        meaning=N_("Accuracy on labelled held-out text minus that of the dense original, in percentage points."),
        formula=r"100\,(\mathrm{acc}_{b} - \mathrm{acc}_{\mathrm{dense}})",
        unit=N_("percentage points"),
        ideal=N_("0: the answers are as often right as those of the dense original."),
        caveat=N_("A mean over tasks hides the worst task and the worst kind of text; both are shown beside it."),
        source=N_("Paired on the same texts; interval by bootstrap over texts (`routelens evaluate`)."),
    ),
    MetricInfo(
        key="encoder_flops",
        name=N_("Whole-encoder FLOPs"),
        meaning=N_("Floating-point operations of the whole encoder, routers included, against the dense original."),
        formula=r"\frac{\sum_r \mathrm{FLOPs}_r}{\sum_r \mathrm{FLOPs}^{\mathrm{dense}}_r}",
        unit=N_("% of the dense original"),
        ideal=N_("As low as the answers allow; 100% is the dense original."),
        caveat=N_("Operations are not time: many small products can be slower than one large one."),
        source=N_("Counted while the model ran, 2 per multiply-add."),
    ),
    MetricInfo(
        key="dense_agreement",
        name=N_("Same answer as dense"),
        meaning=N_("Share of texts for which the adaptive model and the dense original give the same label."),
        formula=r"\frac{\#\{\hat y_{\mathrm{adaptive}} = \hat y_{\mathrm{dense}}\}}{n}",
        unit=N_("% of texts, with a 95% Wilson interval"),
        ideal=N_("100%: nobody's answer changes."),
        caveat=N_("Agreement is not accuracy: the dense original can be wrong too."),
        source=N_("Pairs of the same text in the log."),
    ),
    MetricInfo(
        key="latency",
        name=N_("Latency"),
        meaning=N_("Wall time of one request on this machine, from text to answer."),
        formula=r"\mathrm{median}_r(t_r)",
        unit=N_("ms"),
        ideal=N_("Low, and not above the dense original."),
        caveat=N_("Depends on machine, load and batch; compare only numbers of the same run."),
        source=N_("Measured around the model's forward pass."),
    ),
    MetricInfo(
        key="num_active",
        name=N_("Experts used"),
        meaning=N_("Number of experts that ran for one token in one layer."),
        formula=r"k_{t,l} = \#\{e : s_{t,l,e} > \theta_{l,e}\}",
        unit=N_("experts per token and layer"),
        ideal=N_("No single best value: it should differ between tokens, or nothing adapts."),
        caveat=N_("Shows where compute goes, not whether it was needed there."),
        source=N_("Counted in the log."),
    ),
    MetricInfo(
        key="load",
        name=N_("Load"),
        meaning=N_("Assignments of tokens to this expert."),
        formula=r"n_e = \#\{t : w_{t,e} > 0\}",
        unit=N_("assignments"),
        ideal=N_("Equal over the experts of a layer."),
        caveat=N_("A token that runs several experts counts once for each."),
        source=N_("Counted in the log."),
    ),
    MetricInfo(
        key="load_over_ideal",
        name=N_("Load / ideal"),
        meaning=N_("The expert's share of its layer's assignments against an equal share."),
        formula=r"\frac{n_e}{\tfrac1E \sum_j n_j}",
        unit=N_("× equal share"),
        ideal=N_("1.0× = its equal share."),
        caveat=N_("Even load is not a goal in itself: a specialist may rightly run rarely."),
        source=N_("NVIDIA NeMo Automodel, load / ideal."),
    ),
    MetricInfo(
        key="gate_over_ideal",
        name=N_("Gate mass / ideal"),
        meaning=N_("The expert's share of its layer's gate weights against an equal share."),
        formula=r"\frac{g_e}{\tfrac1E \sum_j g_j}, \quad g_e = \sum_{t} w_{t,e}",
        unit=N_("× equal share"),
        ideal=N_("1.0× = its equal share."),
        caveat=N_("It differs from the load only where experts run with a weight below 1."),
        source=N_("Sum of gate weights in the log."),
    ),
    MetricInfo(
        key="selection_rate",
        name=N_("Selection rate"),
        meaning=N_("Share of the tokens for which this expert ran."),
        formula=r"\frac{n_e}{T}",
        unit=N_("% of tokens"),
        ideal=N_("No single best value."),
        caveat=N_("Tokens of one text are not independent; more texts say more than longer ones."),
        source=N_("Counted in the log."),
    ),
    MetricInfo(
        key="load_cv",
        name=N_("CV"),
        meaning=N_("Coefficient of variation: spread of the load over the experts, in units of its mean."),
        formula=r"\frac{\sqrt{\tfrac1E\sum_e (n_e-\overline{n})^2}}{\overline{n}}",
        unit=N_("no unit"),
        ideal=N_("0 = every expert has the same load."),
        caveat=N_("Falls with more tokens: compare equal sample sizes."),
        source=N_("Shazeer et al. 2017."),
    ),
    MetricInfo(
        key="load_gini",
        name=N_("Gini"),
        meaning=N_("Gini coefficient of the load: how much of it a few experts hold."),
        formula=r"\frac{\sum_i\sum_j |n_i-n_j|}{2E^2\,\overline{n}}",
        unit=N_("0 to 1"),
        ideal=N_("0 = equal; (E−1)/E = one expert takes all."),
        caveat=N_("Its maximum depends on the number of experts."),
        source=N_("Gini 1912."),
    ),
    MetricInfo(
        key="load_entropy",
        name=N_("Normalised entropy"),
        meaning=N_("Entropy of the load shares over its maximum."),
        formula=r"-\frac{1}{\ln E}\sum_e p_e \ln p_e, \quad p_e = \frac{n_e}{\sum_j n_j}",
        unit=N_("0 to 1"),
        ideal=N_("1 = equal; 0 = one expert takes all."),
        caveat=N_("Entropy of the load, not the router's confidence in single tokens."),
        source=N_("Shannon 1948, divided by ln E."),
    ),
    MetricInfo(
        key="load_imbalance",
        name=N_("Max / mean"),
        meaning=N_("Load of the busiest expert over the mean load of its layer (load imbalance)."),
        formula=r"\frac{\max_e n_e}{\overline{n}}",
        unit=N_("× mean"),
        ideal=N_("1.0× = no expert is busier than the mean."),
        caveat=N_("One expert decides it; read it beside the Gini coefficient."),
        source=N_("OLMo-core, load imbalance."),
    ),
    MetricInfo(
        key="max_vio",
        name=N_("MaxVio"),
        meaning=N_("Maximal violation of equal load."),
        formula=r"\frac{\max_e n_e - \overline{n}}{\overline{n}}",
        unit=N_("no unit"),
        ideal=N_("0 = no violation."),
        caveat=N_("Per layer, without absolute value and without padding; others define it otherwise."),
        source=N_("Wang et al. 2024, arXiv 2408.15664."),
    ),
    MetricInfo(
        key="cold_experts",
        name=N_("Cold experts"),
        meaning=N_("Experts that ran, but with less than a tenth of their equal share."),
        formula=r"\#\{e : 0 < n_e < 0.1\,\overline{n}\}",
        unit=N_("experts"),
        ideal=N_("0, unless the expert is a specialist for rare text."),
        caveat=N_("Rare does not mean removable."),
        source=N_("Counted in the log."),
    ),
    MetricInfo(
        key="dead_experts",
        name=N_("Dead experts"),
        meaning=N_("Experts that never ran in this sample."),
        formula=r"\#\{e : n_e = 0\}, \quad P(w_{t,e} > 0) \le 3/T \ (95\,\%)",
        unit=N_("experts"),
        ideal=N_("0: every expert ran at least once."),
        caveat=N_("Only as strong as the sample: 0 of T tokens allows a true rate of up to 3/T (rule of three)."),
        source=N_("Rule of three, Hanley and Lippman-Hand 1983."),
    ),
    MetricInfo(
        key="score",
        name=N_("Expected contribution"),
        meaning=N_("The router's estimate of what this expert adds for this token, relative to the strongest expert."),
        formula=r"s_e = \frac{\hat\nu_e}{\max_j \hat\nu_j}, \quad \hat\nu_e \approx \lVert f_e(x) - \bar f_e \rVert",
        unit=N_("0 to 1"),
        ideal=N_("No best value: 1 marks the strongest expert."),
        caveat=N_("A prediction made before the expert runs, not its measured effect on the answer."),
        source=N_("Router output of the recorded run."),
    ),
    MetricInfo(
        key="margin",
        name=N_("Margin"),
        meaning=N_("Score minus threshold: how far the decision was from going the other way."),
        formula=r"m_e = s_e - \theta_e",
        unit=N_("points of score"),
        ideal=N_("Far from 0 = a clear decision."),
        caveat=N_("A small margin says that the choice was close, not that it was wrong."),
        source=N_("Recorded as the router decided."),
    ),
    MetricInfo(
        key="gate_weight",
        name=N_("Gate weight"),
        meaning=N_("Factor on the expert's output; 0 where it did not run."),
        formula=r"y_t = \sum_e w_{t,e}\, f_e(x_t)",
        unit=N_("factor"),
        ideal=N_("No best value."),
        caveat=N_("Just above its threshold an expert enters softly with a weight below 1."),
        source=N_("Recorded as the router decided."),
    ),
    MetricInfo(
        key="answer_score",
        name=N_("Score"),
        meaning=N_("The head's probability for the label it gave."),
        formula=r"p(\hat y \mid x)",
        unit=N_("0 to 1"),
        ideal=N_("No best value."),
        caveat=N_("A confident head can be wrong."),
        source=N_("Classifier head on the embedding."),
    ),
    MetricInfo(
        key="embedding_cosine",
        name=N_("Embedding similarity"),
        meaning=N_("Cosine between the adaptive and the dense embedding of the same text."),
        formula=r"\cos(z_{\mathrm{adaptive}}, z_{\mathrm{dense}})",
        unit=N_("−1 to 1"),
        ideal=N_("1 = the same embedding."),
        caveat=N_("A high cosine can still hide a changed label close to the decision boundary."),
        source=N_("Both models run on this text."),
    ),
    MetricInfo(
        key="counterfactual_change",
        name=N_("Changed choices"),
        meaning=N_("Share of the choices for unchanged tokens, over all layers, in which another set of experts runs."),
        formula=r"\frac{\#\{(t,l) : A_{t,l} \ne A'_{t,l}\}}{T_{\mathrm{same}}\, L}",
        unit=N_("% of the (token, layer) choices of words that both texts share"),
        ideal=N_("Not above neutral swaps: any changed word moves some decisions."),
        caveat=N_("A changed choice is not a changed answer. The swapped words themselves are not counted."),
        source=N_("Both texts run; tokens are matched by their place in the text."),
    ),
    MetricInfo(
        key="neutral_change",
        name=N_("Neutral swaps"),
        meaning=N_("The same share when another word of the same kind is put in the place of the changed word."),
        formula=r"\frac1n\sum_{i=1}^{n} \frac{\#\{(t,l) : A_{t,l} \ne A^{(i)}_{t,l}\}}{T_{\mathrm{same}}\, L}",
        unit=N_("mean over the neutral words"),
        ideal=N_("It is the floor: a change counts only as far as it goes beyond."),
        caveat=N_("A few words of one text are an example; the command line tests many templates."),
        source=N_("Words of the form, or of the shipped lists (`data/counterfactuals`)."),
    ),
    MetricInfo(
        key="decisions",
        name=N_("Decisions"),
        meaning=N_("Recorded routing decisions: each expert that ran for a token, plus the best one that did not."),
        formula=r"N = \sum_{r,t,l} (k_{r,t,l} + 1)",
        unit=N_("rows"),
        ideal=N_("Every decision of every request is recorded."),
        caveat=N_("Where all experts run there is no best loser, and no row for it."),
        source=N_("Counted in the log."),
    ),
)

METRICS: dict[str, MetricInfo] = {entry.key: entry for entry in _ENTRIES}


def metric_info(key: str) -> MetricInfo:
    """The entry of one metric; KeyError for a number that nobody has explained."""
    return METRICS[key]
