"""Precision, recall and F1 per tag: `score.py FINDINGS.jsonl LABELS.jsonl [--json] [--supported presidio|dataprofiler]`.

Findings are matched by file (base name) and column. A column without a finding counts as `unknown`.
`unknown` misses a positive; on a negative it is right, and reported apart as the unmatched rate.
"""
import argparse
import json
import os
from collections import Counter

from peers import SUPPORTED

QUIET = {"internal", "unknown"}

def read(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f if line.strip()]


def findings(path):
    """(file, column) -> tag."""
    out = {}
    for line in read(path):
        file = os.path.basename(line["file"])
        for c in line.get("columns", [line]):
            if "column" in c:
                out[file, c["column"]] = c.get("tag") or "unknown"
    return out


def per_tag(pairs):
    """pairs of (right, said) -> tag -> {precision, recall, f1, columns, said, right}."""
    right, said, hit = Counter(), Counter(), Counter()
    for truth, guess in pairs:
        if truth not in QUIET:
            right[truth] += 1
        if guess not in QUIET:
            said[guess] += 1
            hit[guess] += guess == truth
    out = {}
    for tag in sorted(right):
        p = hit[tag] / said[tag] if said[tag] else 0.0
        q = hit[tag] / right[tag]
        out[tag] = {"precision": p, "recall": q, "f1": 2 * p * q / (p + q) if p + q else 0.0, "columns": right[tag], "said": said[tag], "right": hit[tag]}
    return out


def macro(table, tags=None):
    scores = [v["f1"] for t, v in table.items() if tags is None or t in tags]
    return sum(scores) / len(scores) if scores else 0.0


def rates(labels, kind):
    """False alarms and unmatched columns among negatives of `kind`."""
    chosen = [(label, tag) for label, tag in labels if label["kind"] == kind]
    n = max(len(chosen), 1)
    loud = [label for label, tag in chosen if tag not in QUIET]
    by_form, total = Counter(label.get("form", "?") for label in loud), Counter(label.get("form", "?") for label, _ in chosen)
    return {"columns": len(chosen), "false_alarms": len(loud) / n, "unmatched": sum(tag == "unknown" for _, tag in chosen) / n,
            "by_form": {form: [k, total[form]] for form, k in by_form.most_common()}}


def report(labels, supported):
    groups = {"named": ("clean", "dirty"), "clean": ("clean",), "dirty": ("dirty",), "anonymous": ("anonymous",)}
    out = {"groups": {}}
    for name, variants in groups.items():
        part = [(label, tag) for label, tag in labels if label["variant"] in variants]
        if not part:
            continue
        table = per_tag([(label["tag"], tag) for label, tag in part])
        group = {"macro_f1": macro(table), "tags": table, "hard_negatives": rates(part, "hard_negative"), "plain_negatives": rates(part, "plain_negative"),
                 "unknown_positives": sum(tag == "unknown" for label, tag in part if label["kind"] == "positive") / max(1, sum(label["kind"] == "positive" for label, _ in part))}
        carried = per_tag([(label["tag"], tag) for label, tag in part if label.get("evidence", "value") == "value"])
        group["macro_f1_value_evidence"] = macro(carried)
        if supported:
            group["macro_f1_supported"] = macro(table, supported)
        out["groups"][name] = group
    every = [(label, tag) for label, tag in labels]
    out["hard_negatives"], out["plain_negatives"] = rates(every, "hard_negative"), rates(every, "plain_negative")
    if any("sensitive" in label for label, _ in labels):
        out["sensitive"] = sensitive(labels)
    return out


def sensitive(labels):
    """Sensitive or not; an amount does not count as sensitive here (prices are not, and there are no salaries in the set)."""
    said = [(label["sensitive"], tag not in QUIET | {"financial.amount"}) for label, tag in labels]
    hit = sum(a and b for a, b in said)
    p, q = hit / max(1, sum(b for _, b in said)), hit / max(1, sum(a for a, _ in said))
    return {"columns": len(said), "precision": p, "recall": q, "f1": 2 * p * q / (p + q) if p + q else 0.0, "unmatched": sum(tag == "unknown" for _, tag in labels) / len(labels)}


def show(out, forms):
    groups = out["groups"]
    if "sensitive" in out:
        s = out["sensitive"]
        print(f"sensitive or not, {s['columns']} columns: precision {s['precision']:.3f}  recall {s['recall']:.3f}  F1 {s['f1']:.3f}  (unknown {s['unmatched']:.1%})")
        return
    shown = [g for g in ("named", "anonymous") if g in groups]
    print(f"{'tag':28}" + "".join(f"{g + ' P':>12}{'R':>7}{'F1':>7}{'n':>6}" for g in shown))
    for tag in sorted(set().union(*(groups[g]["tags"] for g in shown))):
        row = f"{tag:28}"
        for g in shown:
            v = groups[g]["tags"].get(tag)
            row += f"{v['precision']:12.3f}{v['recall']:7.3f}{v['f1']:7.3f}{v['columns']:6}" if v else " " * 32
        print(row)
    print()
    for g, v in groups.items():
        more = f"  supported tags only {v['macro_f1_supported']:.3f}" if "macro_f1_supported" in v else ""
        print(f"macro F1 {g:10} {v['macro_f1']:.3f}  (columns whose values carry the tag: {v['macro_f1_value_evidence']:.3f}){more}  positives left unknown {v['unknown_positives']:.1%}")
    for kind in ("hard_negatives", "plain_negatives"):
        parts = [(g, groups[g][kind]) for g in groups] + [("all", out[kind])]
        for g, v in parts:
            print(f"{kind} {g:10} false alarms {v['false_alarms']:.2%}  unmatched {v['unmatched']:.1%}  of {v['columns']}")
    if forms:
        print("false alarms by form of hard negative: " + (", ".join(f"{f} {k}/{n}" for f, (k, n) in out["hard_negatives"]["by_form"].items()) or "none"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("findings")
    parser.add_argument("labels")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--supported", choices=SUPPORTED, help="also the macro F1 over the tags this peer can name")
    parser.add_argument("--forms", action="store_true", help="also which hard negatives raised alarms (never on frozen)")
    args = parser.parse_args()
    found, known = findings(args.findings), read(args.labels)
    keys = [(label["file"], label["column"]) for label in known]
    out = report([(label, found.get(key, "unknown")) for label, key in zip(known, keys)], SUPPORTED.get(args.supported))
    out["labels_without_finding"] = sum(key not in found for key in keys)
    print(json.dumps(out)) if args.json else show(out, args.forms)
    if not args.json and out["labels_without_finding"]:
        print(f"{out['labels_without_finding']} labelled columns had no finding (counted as unknown)")


if __name__ == "__main__":
    main()
