"""An example of every command, shown under its `--help`; tests hold each against the command it is of."""

from __future__ import annotations

import typer

EXAMPLES = {
    "alert acknowledge": "mlhealth alert acknowledge a6b123fa6b38 --by ana --note 'looking at the feed'",
    "alert feedback": "mlhealth alert feedback a6b123fa6b38 not-harm --by ana --note 'a campaign, announced'",
    "alert list": "mlhealth alert list --model loan-default",
    "alert precision": "mlhealth alert precision",
    "alert suggest": "mlhealth alert suggest --model loan-default",
    "api": "mlhealth api -c mlhealth.yaml",
    "audit export": "mlhealth audit export > trail.ndjson",
    "audit verify": "mlhealth audit verify",
    "backfill": "mlhealth backfill s3://lake/logs --model loan-default --version 3 --engine dask --workers 4",
    "backtest": "mlhealth backtest production.parquet --baseline baseline --window 1d --rules rules.yaml",
    "baseline activate": "mlhealth baseline activate 9be764da --from 2026-03-01T00:00:00Z",
    "baseline approve": "mlhealth baseline approve 9be764da --by ana",
    "baseline compare": "mlhealth baseline compare 9be764da 0fc8d535",
    "baseline fit": "mlhealth baseline fit reference.parquet --schema model.yaml --scorer model.onnx --out baseline",
    "baseline list": "mlhealth baseline list",
    "baseline proposals": "mlhealth baseline proposals",
    "baseline propose": "mlhealth baseline propose fresh.parquet --model loan-default --by ana",
    "baseline push": "mlhealth baseline push baseline",
    "baseline reject": "mlhealth baseline reject 9be764da --by ana --reason 'taken during an incident'",
    "baseline show": "mlhealth baseline show baseline --window 1h --rows 2000 --false-alarms '1 per 30d'",
    "check": "mlhealth check batch.parquet --baseline baseline --window-rows 2000 --junit mlhealth.xml",
    "deadletter list": "mlhealth deadletter list --model loan-default --limit 20",
    "deadletter requeue": "mlhealth deadletter requeue --model loan-default --limit 100",
    "demo": "mlhealth demo --data churn.csv --target churned --time day",
    "doctor": "mlhealth doctor -c mlhealth.yaml",
    "estimate": "mlhealth estimate production.parquet --baseline baseline --window 1d",
    "forget": "mlhealth forget app-17 app-18 --model loan-default",
    "grafana export": "mlhealth grafana export provisioning/",
    "grafana push": "mlhealth grafana push http://grafana:3000 --token TOKEN --prometheus http://prometheus:9090",
    "import": "mlhealth import nannyml nann.yml --model loan-default",
    "label add": "mlhealth label add labelled.csv --model loan-default",
    "label suggest": "mlhealth label suggest --model loan-default --window 2026-02-01T08:00:00Z --out ask.csv",
    "models discover": "mlhealth models discover",
    "models list": "mlhealth models list",
    "models retire": "mlhealth models retire loan-default 2",
    "models review": "mlhealth models review loan-default",
    "prometheus export": "mlhealth prometheus export /etc/prometheus/rules",
    "replay": "mlhealth replay production.parquet --to kafka --partitions 3 --baseline baseline --speed 3600",
    "report": "mlhealth report loan-default 3 --from 2026-02-01 --out review.html",
    "retraining approve": "mlhealth retraining approve mlhealth-bbd3850cc331 --by ana",
    "retraining list": "mlhealth retraining list --model loan-default",
    "retraining reject": "mlhealth retraining reject mlhealth-bbd3850cc331 --by ana --reason 'the feed is mended'",
    "rules check": "mlhealth rules check rules.yaml",
    "rules schema": "mlhealth rules schema > rules.schema.json",
    "rules test": "mlhealth rules test rules_test.yaml",
    "serve": "mlhealth serve -c mlhealth.yaml",
    "silence add": "mlhealth silence add 'model=\"loan-default\"' --for 2h --by ana --comment 'upstream migration'",
    "silence expire": "mlhealth silence expire 4f1c --by ana",
    "silence list": "mlhealth silence list",
    "store backup": "mlhealth store backup mlhealth-backup.db",
    "store downgrade": "mlhealth store downgrade 0005",
    "store restore": "mlhealth store restore mlhealth-backup.db",
    "store retain": "mlhealth store retain",
    "store upgrade": "mlhealth store upgrade",
    "timeline export": "mlhealth timeline export --model loan-default --from 2026-02-01 --to 2026-02-02",
    "token create": "mlhealth token create grafana --scope read --expires 90d",
    "token list": "mlhealth token list",
    "token revoke": "mlhealth token revoke 1f2e3d4c",
    "token rotate": "mlhealth token rotate 1f2e3d4c --grace 1d",
    "versions compare": "mlhealth versions compare loan-default 3 4",
    "versions list": "mlhealth versions list loan-default",
    "versions mark": "mlhealth versions mark loan-default 4 --by ana --note 'rolled out to everybody'",
    "versions promote": "mlhealth versions promote loan-default 4 --by ana --note 'better for a week'",
    "versions rollback": "mlhealth versions rollback loan-default --by ana --note 'slower answers'",
    "worker": "mlhealth worker -c mlhealth.yaml --metrics-port 9100",
}
"""A command line by the name of its command."""


def attach(app: typer.Typer, before: tuple[str, ...] = ()) -> None:
    """Show each command's example under its help."""
    for command in app.registered_commands:
        name = " ".join((*before, command.name or ""))
        if name in EXAMPLES:
            command.epilog = f"Example: `{EXAMPLES[name]}`"
    for group in app.registered_groups:
        inner = group.typer_instance
        if inner is not None and not group.hidden:
            attach(inner, (*before, str(group.name or inner.info.name)))
