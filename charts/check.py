"""Checks of charts/test that parse YAML.

objects RELEASE FILE…   every object is valid: built-in kinds against the schemas of this Kubernetes release, without unknown
                        fields; BootProfiles against the CRD of the chart, in the same way.
values CHART            values.yaml, values.schema.json and the table in README.md contain the same values, and the table
                        shows the defaults.
blocks CHART            print the paths of all groups of values, one per line (no findings).
crds CHART FILE         FILE, rendered from bootlace-crds, contains exactly the CRDs of CHART, and each CRD is kept when the
                        release is uninstalled.

Prints one line for each finding and exits with 1 if there are any.
"""

import json
import pathlib
import re
import sys

import jsonschema
import kubernetes_validate
import yaml

CRDS = pathlib.Path(__file__).parent / "bootlace" / "crds"

# Kinds from CRDs of other projects, whose schemas are not available here.
FOREIGN_GROUPS = {"cert-manager.io", "monitoring.coreos.com"}


def closed(schema):
    """The schema, changed to reject unknown properties, as strict validation in kubectl does."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: closed(part) for key, part in schema.items()}
    open_ended = "additionalProperties" in schema or schema.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object" and not open_ended:
        result["additionalProperties"] = False
    return result


def own_schemas():
    """Map of (apiVersion, kind) to the schema in the CRDs of the chart."""
    schemas = {}
    for path in CRDS.glob("*.yaml"):
        for crd in filter(None, yaml.safe_load_all(path.read_text())):
            spec = crd["spec"]
            for version in spec["versions"]:
                schema = closed(version["schema"]["openAPIV3Schema"])
                # The API server adds these to every object; a CRD does not describe them.
                schema.setdefault("properties", {}).update(apiVersion={}, kind={}, metadata={})
                schemas[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = schema
    return schemas


def objects(release, *files):
    """Findings about the objects in the files."""
    own = own_schemas()
    for file in files:
        for item in filter(None, yaml.safe_load_all(pathlib.Path(file).read_text())):
            api, kind = item["apiVersion"], item["kind"]
            where = f"{file}: {kind} {item['metadata']['name']}"
            if api.split("/")[0] in FOREIGN_GROUPS:
                continue
            try:
                if (api, kind) in own:
                    jsonschema.Draft202012Validator(own[api, kind]).validate(item)
                else:
                    kubernetes_validate.validate(item, release, strict=True)
            except jsonschema.ValidationError as error:
                yield f"{where}: {'.'.join(map(str, error.path))}: {error.message}"
            except kubernetes_validate.SchemaNotFoundError:
                yield f"{where}: no schema for {api} in Kubernetes {release} or in {CRDS}"


def value_leaves(values, path=()):
    """Map of the path of every value to its default. An empty object is a value."""
    for key, value in values.items():
        if isinstance(value, dict) and value and ".".join((*path, key)) not in OBJECTS:
            yield from value_leaves(value, (*path, key))
        else:
            yield ".".join((*path, key)), value


def schema_leaves(schema, path=(), definitions=None):
    """Paths of the values in the schema."""
    definitions = schema.get("definitions", {}) if definitions is None else definitions
    for key, below in schema.get("properties", {}).items():
        below = definitions.get(below.get("$ref", "").removeprefix("#/definitions/"), below)
        if "properties" in below:
            yield from schema_leaves(below, (*path, key), definitions)
        else:
            yield ".".join((*path, key))


# Set by Helm and the parent chart of a dependency; the charts ignore them.
DEPENDENCY = {"global", "enabled"}

# Values that are one object of Kubernetes or of the user, and not a group of values.
OBJECTS = {
    "profiles",
    "resources.requests",
    "resources.limits",
    "store.resources.requests",
    "store.resources.limits",
    "monitor.resources.requests",
    "monitor.resources.limits",
    "podSecurityContext",
    "securityContext",
}


def values(chart):
    """Findings about the three files that contain the values of the chart."""
    chart = pathlib.Path(chart)
    schema = json.loads((chart / "values.schema.json").read_text())
    defaults = dict(value_leaves(yaml.safe_load((chart / "values.yaml").read_text())))
    rows = dict(re.findall(r"^\| `([\w.]+)` \| `?(.*?)`? \|", (chart / "README.md").read_text(), re.MULTILINE))

    # helm lint checks the reverse: the schema allows no unknown values.
    for name in schema_leaves(schema):
        if name not in DEPENDENCY and not any(f"{name}.".startswith(f"{value}.") for value in defaults):
            yield f"{name}: in values.schema.json, not in values.yaml"
    for name in sorted(rows.keys() ^ defaults.keys()):
        yield f"{name}: only in {'README.md' if name in rows else 'values.yaml'}"
    for name in sorted(rows.keys() & defaults.keys()):
        shown = rows[name]
        if shown != "restricted" and shown != json.dumps(defaults[name]):
            yield f"{name}: default is {shown} in README.md, but {json.dumps(defaults[name])} in values.yaml"


def blocks(chart):
    """Prints the paths of all groups of values."""

    def walk(values, path=()):
        for key, value in values.items():
            name = ".".join((*path, key))
            if isinstance(value, dict) and value and name not in OBJECTS:
                print(name)
                walk(value, (*path, key))

    walk(yaml.safe_load((pathlib.Path(chart) / "values.yaml").read_text()))
    return ()


def crds(chart, file):
    """Findings about the rendered CRDs."""
    rendered = {item["metadata"]["name"]: item for item in yaml.safe_load_all(pathlib.Path(file).read_text()) if item}
    own = [yaml.safe_load(path.read_text()) for path in (pathlib.Path(chart) / "crds").glob("*.yaml")]
    own = {item["metadata"]["name"]: item for item in own}
    for name in sorted(rendered.keys() ^ own.keys()):
        yield f"{name}: only in {file if name in rendered else chart}"
    for name in sorted(rendered.keys() & own.keys()):
        if rendered[name]["spec"] != own[name]["spec"]:
            yield f"{name}: the spec in {file} differs from {chart}"
        if rendered[name]["metadata"].get("annotations", {}).get("helm.sh/resource-policy") != "keep":
            yield f"{name}: would be deleted with its release, including all custom resources"


CHECKS = {"objects": objects, "values": values, "blocks": blocks, "crds": crds}


def main():
    """Runs the named check."""
    check, *arguments = sys.argv[1:]
    findings = list(CHECKS[check](*arguments))
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
