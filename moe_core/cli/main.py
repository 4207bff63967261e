"""The command `routelens`: collects the verbs, and turns errors into one line and an exit code.

0 = done, 1 = a check or gate failed, 2 = bad input or usage.
"""

import os
import sys

import typer

from moe_core.cli import (
    audit_expert_verb,
    audit_verb,
    bench_verb,
    counterfactual_verb,
    data_verbs,
    evaluation_verb,
    expert_verb,
    explain_verb,
    import_verb,
    inference_verbs,
    lifecycle_verbs,
    log_verbs,
    query_verb,
    serve_verb,
    specialization_verb,
    training_verbs,
    upcycle_verb,
    verify_verb,
)
from moe_core.cli.output import note
from moe_core.errors import RouteLensError

app = typer.Typer(
    name="routelens",
    help="Run, log, audit and explain what a sparse Mixture-of-Experts model decides.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
app.command("serve")(serve_verb.serve)
app.command("infer")(inference_verbs.infer)
app.command("embed")(inference_verbs.embed)
app.command("train")(training_verbs.train)
app.command("calibrate")(training_verbs.calibrate)
app.command("upcycle")(upcycle_verb.upcycle)
app.command("evaluate")(evaluation_verb.evaluate)
app.command("audit-expert")(audit_expert_verb.audit_expert)
app.command("counterfactual")(counterfactual_verb.counterfactual)
app.command("explain")(explain_verb.explain)
app.command("index")(log_verbs.index)
app.command("verify")(verify_verb.verify)
app.command("query")(query_verb.query)
app.command("audit")(audit_verb.audit)
app.command("expert")(expert_verb.expert)
app.command("ablate")(expert_verb.ablate)
app.command("specialization")(specialization_verb.specialization)
app.command("redact")(lifecycle_verbs.redact)
app.command("retain")(lifecycle_verbs.retain)
app.command("export")(lifecycle_verbs.export)
app.command("doctor")(lifecycle_verbs.doctor)
app.command("migrate")(lifecycle_verbs.migrate)
app.add_typer(training_verbs.head_app, name="head")
app.add_typer(verify_verb.keys_app, name="keys")
app.add_typer(data_verbs.data_app, name="data")
app.add_typer(bench_verb.bench_app, name="bench")
app.add_typer(import_verb.import_app, name="import")


def main() -> None:
    """Entry point of `routelens` and `python -m moe_core`."""
    try:
        app()
    except RouteLensError as error:
        note(f"routelens: {error}")
        sys.exit(2)
    except KeyboardInterrupt:
        note("routelens: stopped by the user; everything acknowledged so far is kept.")
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        note(f"routelens: {error.filename or 'a file'}: {error.strerror or error}: check the path, space and rights.")
        sys.exit(2)
