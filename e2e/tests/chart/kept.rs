//! The CRDs outlive the release. The chart is tried with CRDs of other names, so that those of the stack are safe
//! whatever happens.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use e2e::{Scene, helm, kubectl, scene::Turn};

/// A copy of the chart whose CRDs have names that nobody else has.
fn copy(into: &Path, unique: &str) -> Result<()> {
    for entry in std::fs::read_dir(helm::CHART)? {
        let entry = entry?;
        let target = into.join(entry.file_name());
        if entry.file_name() == "files" {
            let text = std::fs::read_to_string(entry.path().join("crds.yaml"))?;
            std::fs::create_dir(&target)?;
            std::fs::write(target.join("crds.yaml"), renamed(&text, unique))?;
        } else if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), target)?;
        }
    }
    // The templates of the CRDs alone.
    std::fs::create_dir(into.join("templates"))?;
    let template = Path::new(helm::CHART).join("templates/crds.yaml");
    std::fs::copy(template, into.join("templates/crds.yaml"))?;
    Ok(())
}

/// Short names too: what people type must go on meaning the stack's.
fn renamed(crds: &str, unique: &str) -> String {
    let upper = unique.to_uppercase();
    crds.replace("data.septemcore.com", &format!("{unique}.example.com"))
        .replace(
            "shortNames:\n    - ",
            &format!("shortNames:\n    - {unique}"),
        )
        .replace("    - septem\n", &format!("    - {unique}\n"))
        .replace("dataplane", &format!("{unique}dp"))
        .replace("DataPlane", &format!("{upper}Dp"))
        .replace("modulemodel", &format!("{unique}mm"))
        .replace("ModuleModel", &format!("{upper}Mm"))
        .replace("tenant", &format!("{unique}tn"))
        .replace("Tenant", &format!("{upper}Tn"))
}

#[tokio::test]
async fn the_crds_are_kept_by_an_uninstall_and_taken_up_again() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let folder = tempfile::tempdir()?;
        let unique = &scene.module;
        copy(folder.path(), unique)?;
        let chart = folder.path().to_str().context("a path in UTF-8")?;
        let crds =
            ["dp", "tn", "mm"].map(|kind| format!("crd/{unique}{kind}s.{unique}.example.com"));
        let crds: Vec<&str> = crds.iter().map(String::as_str).collect();
        let told = async {
            for round in 1..=2 {
                helm::succeed(&["install", "t", chart, "-n", unique])
                    .await
                    .with_context(|| format!("round {round}"))?;
                helm::succeed(&["upgrade", "t", chart, "-n", unique]).await?;
                helm::succeed(&["uninstall", "t", "-n", unique]).await?;
                let get = [
                    &[
                        "get",
                        "-o",
                        "jsonpath={.items[*].metadata.deletionTimestamp}",
                    ][..],
                    &crds,
                ]
                .concat();
                let ends = kubectl::succeed(&get, None)
                    .await
                    .context("the CRDs are gone")?;
                ensure!(ends.trim().is_empty(), "the CRDs are going: {ends}");
            }
            Ok(())
        }
        .await;
        // The API server may take minutes to let go of storage that it has only just set up.
        kubectl::delete_soon(&crds).await?;
        told
    })
    .await
}
