"""Reads OpenMetrics text as Prometheus' own client library does: `metrics.py FILE`. Prints {sample: value}, a sample as
`name{label="value",…}`."""

import json
import pathlib
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families

samples = {}
for family in text_string_to_metric_families(pathlib.Path(sys.argv[1]).read_text()):
    assert family.documentation, family.name
    for sample in family.samples:
        labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
        samples[f"{sample.name}{{{labels}}}"] = sample.value
print(json.dumps(samples))
