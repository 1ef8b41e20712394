//! `sealift compact`: small files become large ones.

use serde_json::json;

use super::args::Compact;
use super::{Context, Done, progress, show};
use crate::publish::upkeep::{Compacted, Files};
use crate::run::Engine;
use crate::run::upkeep::{self, Wish};
use crate::spec::{DatasetName, size_within};

pub(super) async fn run(context: &Context, args: &Compact) -> Done {
    let dataset = DatasetName::parse(&args.dataset)?;
    let size = |text: &str| size_within("1MiB", "5TiB", text);
    let target_bytes = args.target_size.as_deref().map(size).transpose()?;
    let engine = Engine::open(&context.config, &|notice| eprintln!("{notice}")).await?;
    let wish = Wish { target_bytes, cluster_by: args.cluster_by.clone() };
    let turning = progress::turning(context.json, format!("joining files of {dataset}"));
    let compacted = upkeep::compact(&engine, &dataset, wish).await?;
    drop(turning);
    if context.json {
        let files = |files: Files| json!({"count": files.count, "bytes": files.bytes});
        show::json(&json!({
            "dataset": dataset.to_string(), "versions": compacted.versions,
            "before": files(compacted.before), "after": files(compacted.after), "outcome": "done",
        }));
    } else {
        print(&dataset, &compacted);
    }
    Ok(())
}

fn print(dataset: &DatasetName, compacted: &Compacted) {
    let Compacted { versions, before, after } = compacted;
    let Some(newest) = versions.last() else {
        println!("{dataset} has no files to join");
        return;
    };
    let mut table = show::table(&["", "files", "bytes"], &[1, 2]);
    for (when, files) in [("before", before), ("after", after)] {
        table.add_row([when.to_owned(), show::count(files.count), show::bytes(files.bytes)]);
    }
    println!("{dataset} version {newest}\n{table}");
    println!(
        "The files that were joined stay for older versions until: {} vacuum {dataset}",
        show::command()
    );
}
