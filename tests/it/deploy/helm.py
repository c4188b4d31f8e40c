"""`helm lint` and `helm template`, by the SDK of Helm that the PyPI package helm-python-sdk
has in it:

    helm.py CHART lint
    helm.py CHART RELEASE NAMESPACE

The values are YAML on standard input. The exit status is 1 if Helm refuses them.
"""

import sys

import helm_python as helm

# Of the messages of helm lint.
WARNING = 2


def lint(path, values):
    report = helm.lint(path, values, strict=True)
    assert report["total_charts_linted"] == 1, report
    wrong = [found for found in report["messages"] if found["severity"] >= WARNING]
    if wrong or report["errors"]:
        sys.exit(f"{path}: {wrong} {report['errors']}")


def template(path, values, name, namespace):
    chart = helm.Chart.load(path)
    chart.validate_schema(values)
    rendered = chart.render(values, name=name, namespace=namespace)
    for file, text in sorted(rendered.items()):
        if file.endswith(".yaml") and text.strip():
            print(f"---\n# Source: {file}\n{text.strip()}")


chart, *what = sys.argv[1:]
values = helm.values_from_yaml(sys.stdin.read())
try:
    if what == ["lint"]:
        lint(chart, values)
    else:
        template(chart, values, *what)
except helm.HelmError as refused:
    sys.exit(str(refused))
