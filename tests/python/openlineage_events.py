"""Reads OpenLineage events as OpenLineage's own client defines them: `openlineage_events.py FILE`, one event a line. Unknown
keys, missing ones, other types and other versions of a facet than the client's are faults. Prints
{"events": [{"type", "job", "run", "parent", "inputs", "outputs", "columns", "facets"}]}."""

import json
import pathlib
import sys
import uuid
from datetime import datetime

import cattrs
from openlineage.client import facet_v2 as facets
from openlineage.client.event_v2 import RunEvent
from openlineage.client.generated import base
from openlineage.client.naming.dataset import LocalFileSystem, Postgres

FACETS = {
    "schema": facets.schema_dataset.SchemaDatasetFacet,
    "dataSource": facets.datasource_dataset.DatasourceDatasetFacet,
    "version": facets.dataset_version_dataset.DatasetVersionDatasetFacet,
    "storage": facets.storage_dataset.StorageDatasetFacet,
    "columnLineage": facets.column_lineage_dataset.ColumnLineageDatasetFacet,
    "outputStatistics": facets.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet,
    "errorMessage": facets.error_message_run.ErrorMessageRunFacet,
    "parent": facets.parent_run.ParentRunFacet,
    "nominalTime": facets.nominal_time_run.NominalTimeRunFacet,
    "processing_engine": facets.processing_engine_run.ProcessingEngineRunFacet,
    "jobType": facets.job_type_job.JobTypeJobFacet,
    "ownership": facets.ownership_job.OwnershipJobFacet,
}
strict = cattrs.Converter(forbid_extra_keys=True)


def facet(name, value):
    """One facet, read strictly; those of our own need only say whose they are."""
    fields = {key: field for key, field in value.items() if not key.startswith("_")}
    assert value["_producer"].startswith("urn:sealift:"), (name, value)
    if name.startswith("sealift_"):
        assert value["_schemaURL"].startswith("urn:sealift:lineage:"), (name, value)
        return
    kind = FACETS[name]
    assert value["_schemaURL"] == kind._get_schema(), (name, value["_schemaURL"], kind._get_schema())
    strict.structure(fields, kind)


def each(facets_of):
    for name, value in facets_of.items():
        facet(name, value)
    return sorted(facets_of)


def dataset(value, own, kind):
    found = each(value.pop("facets")) + each(value.pop(own))
    strict.structure(value, kind)
    if value["namespace"] == "file":
        named = LocalFileSystem(path=value["name"])
    elif value["namespace"].startswith("postgres://"):
        host, port = value["namespace"].removeprefix("postgres://").rsplit(":", 1)
        if value["name"].count(".") != 2:
            return found  # a query, which has no schema
        database, schema, table = value["name"].split(".")
        named = Postgres(host=host, port=port, database=database, schema=schema, table=table)
    else:
        return found
    assert (named.get_namespace(), named.get_name()) == (value["namespace"], value["name"]), value
    return found


told = []
for line in pathlib.Path(sys.argv[1]).read_text().splitlines():
    event = json.loads(line)
    whole = json.loads(line)
    uuid.UUID(event["run"]["runId"])
    datetime.fromisoformat(event["eventTime"].replace("Z", "+00:00"))
    assert event["schemaURL"] == RunEvent._get_schema(), event["schemaURL"]
    found = each(event["run"].pop("facets")) + each(event["job"].pop("facets"))
    for value in event["inputs"]:
        found += dataset(value, "inputFacets", base.InputDataset)
    for value in event["outputs"]:
        found += dataset(value, "outputFacets", base.OutputDataset)
    # Facets are read already, and an event's schema is a constant of the client's.
    event.pop("schemaURL")
    strict.structure(event, RunEvent)
    columns = {}
    for value in whole["outputs"]:
        for column, lineage in value["facets"].get("columnLineage", {}).get("fields", {}).items():
            columns[column] = sorted(
                [field["field"], field["transformations"][0]["subtype"], field["transformations"][0]["masking"]]
                for field in lineage["inputFields"]
            )
    told.append({
        "type": whole["eventType"],
        "job": whole["job"]["name"],
        "run": whole["run"]["runId"],
        "parent": whole["run"]["facets"].get("parent", {}).get("run", {}).get("runId"),
        "inputs": [f'{value["namespace"]} {value["name"]}' for value in whole["inputs"]],
        "outputs": [f'{value["namespace"]} {value["name"]}' for value in whole["outputs"]],
        "rows": [value["outputFacets"].get("outputStatistics", {}).get("rowCount") for value in whole["outputs"]],
        "columns": columns,
        "facets": found,
        "error": whole["run"]["facets"].get("errorMessage", {}).get("message"),
    })
print(json.dumps({"events": told}))
