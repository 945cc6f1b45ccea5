"""`mmf features`: build, compare, describe and audit feature tables."""

import typer

from cli import feature_audit, feature_build, feature_list, feature_new, feature_versions

app = typer.Typer(help="Build and inspect feature tables.", no_args_is_help=True)
app.command("plan")(feature_build.plan)
app.command("build")(feature_build.build)
app.command("list")(feature_list.list_features)
app.command("show")(feature_list.show)
app.command("audit")(feature_audit.audit)
app.command("versions")(feature_versions.versions)
app.command("diff")(feature_versions.diff)
app.command("new")(feature_new.new)
