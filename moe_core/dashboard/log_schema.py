"""What can be asked: the four relations of the log with the type and the meaning of every column.

The texts are msgids. A test compares names and types with what the SQL console describes.
"""

from dataclasses import dataclass

from moe_core.analysis.message import N_


@dataclass(frozen=True, slots=True)
class Column:
    """A column as DuckDB names its type, and what it holds."""

    name: str
    type: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation: what one row of it is, and its columns in order."""

    name: str
    meaning: str
    columns: tuple[Column, ...]


_RUN_ID = Column("run_id", "VARCHAR", N_("ID of the run"))
_REQUEST_ID = Column("request_id", "VARCHAR", N_("ID of the request, unique in the store"))
_POSITION = Column("position", "INTEGER", N_("place of the token in its request, from 0"))

RELATIONS = (
    Relation(
        "runs",
        N_("One row per run: a model with one setting, from its start to its end."),
        (
            _RUN_ID,
            Column("started_at", "TIMESTAMP", N_("start of the run, UTC")),
            Column("source", "VARCHAR", N_("what recorded it: infer, live, demo or an import")),
            Column("model", "VARCHAR", N_("name of the model")),
            Column("model_sha256", "VARCHAR", N_("checksum of the model's weights")),
            Column("n_layers", "INTEGER", N_("number of layers with experts")),
            Column("n_experts", "INTEGER", N_("number of experts per layer")),
            Column("mode", "VARCHAR", N_("adaptive, dense or topk")),
            Column("budget", "DOUBLE", N_("share of the expert compute asked for; empty for dense")),
            Column("config", "JSON", N_("the full setting")),
            Column("software", "JSON", N_("versions of the software that ran")),
            Column("quality_card", "JSON", N_("checks of an import")),
        ),
    ),
    Relation(
        "requests",
        N_("One row per request: a text with its answer and its cost."),
        (
            _RUN_ID,
            _REQUEST_ID,
            Column("started_at", "TIMESTAMP", N_("start of the request, UTC")),
            Column("latency_ms", "DOUBLE", N_("time until the answer, in milliseconds")),
            Column("n_tokens", "INTEGER", N_("number of tokens")),
            Column("domain", "VARCHAR", N_("domain named by the caller")),
            Column("attributes", "MAP(VARCHAR, VARCHAR)", N_("further columns of the caller; empty after erasure")),
            Column("text", "VARCHAR", N_("the text itself; empty after erasure")),
            Column("text_hash", "VARCHAR", N_("keyed checksum of the text: equal for equal texts of this store")),
            Column("label", "VARCHAR", N_("the answer")),
            Column("score", "DOUBLE", N_("score of the answer, 0 to 1")),
            Column("reference_label", "VARCHAR", N_("the right answer, where the caller gave one")),
            Column("active_fraction", "DOUBLE", N_("share of the experts that ran")),
            Column("flops", "BIGINT", N_("floating-point operations of the encoder")),
            Column("flops_dense", "BIGINT", N_("the same for the dense original")),
            Column("budget", "DOUBLE", N_("budget of this request")),
            Column("mode", "VARCHAR", N_("mode of this request")),
            Column("actor", "VARCHAR", N_("who asked")),
        ),
    ),
    Relation(
        "tokens",
        N_("One row per token of a request; erased together with the text."),
        (
            _RUN_ID,
            _REQUEST_ID,
            _POSITION,
            Column("token_id", "INTEGER", N_("number of the token in the vocabulary")),
            Column("is_special", "BOOLEAN", N_("start, end or padding, not a part of the text")),
        ),
    ),
    Relation(
        "decisions",
        N_("One row per token, layer and expert that ran, and one for the best expert that did not."),
        (
            _RUN_ID,
            _REQUEST_ID,
            _POSITION,
            Column("token_id", "INTEGER", N_("number of the token; empty after erasure")),
            Column("layer", "INTEGER", N_("layer, from 0")),
            Column("expert_id", "INTEGER", N_("expert within its layer, from 0")),
            Column("rank", "INTEGER", N_("place among the experts of the token, from 0")),
            Column("selected", "BOOLEAN", N_("whether the expert ran")),
            Column("logit", "DOUBLE", N_("the router's raw value")),
            Column("prob", "DOUBLE", N_("the router's score as a share")),
            Column("gate_weight", "DOUBLE", N_("factor on the expert's output")),
            Column("margin", "DOUBLE", N_("score minus threshold: how close the decision was")),
            Column(
                "flags", "INTEGER", N_("special circumstances, added up: 1 floor, 2 failover, 4 dropped, and so on")
            ),
        ),
    ),
)
