//! Images made without Docker. Small programs stand in for ours: what is tested is the layers, not what runs in them.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use e2e::command;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

const BUILD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/images/build");

/// Runs the script on three programs: what it said when it failed.
async fn build(programs: [&str; 3], folder: &Path, out: &Path) -> Result<Result<(), String>> {
    for (name, program) in ["operator", "proxy", "sink"].iter().zip(programs) {
        std::fs::copy(program, folder.join(format!("septem-{name}")))
            .with_context(|| program.to_owned())?;
    }
    let (folder, out) = (folder.to_string_lossy(), out.to_string_lossy());
    let output = command::run("bash", &[BUILD, &folder, &out, "1.2.3"], None).await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(if output.status.success() {
        Ok(())
    } else {
        Err(said)
    })
}

/// A blob of the layout, which must be what its name says.
fn blob(layout: &Path, digest: &Value) -> Result<Vec<u8>> {
    let digest = digest.as_str().context("no digest")?;
    let hash = digest.strip_prefix("sha256:").context("not a sha256")?;
    let bytes = std::fs::read(layout.join("blobs/sha256").join(hash))?;
    let found: String = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    ensure!(found == hash, "{digest} holds {found}");
    Ok(bytes)
}

async fn check(tarball: &Path, name: &str) -> Result<()> {
    let layout = tempfile::tempdir()?;
    let (from, to) = (tarball.to_string_lossy(), layout.path().to_string_lossy());
    command::succeed("tar", &["-xf", &from, "-C", &to], None).await?;
    let read = |name: &str| -> Result<Value> {
        Ok(serde_json::from_slice(&std::fs::read(
            layout.path().join(name),
        )?)?)
    };
    assert_eq!(read("oci-layout")?["imageLayoutVersion"], "1.0.0");
    let index = read("index.json")?;
    let entry = &index["manifests"][0];
    assert_eq!(
        entry["annotations"]["io.containerd.image.name"],
        format!("localhost/{name}:1.2.3")
    );
    let manifest: Value = serde_json::from_slice(&blob(layout.path(), &entry["digest"])?)?;
    let config: Value =
        serde_json::from_slice(&blob(layout.path(), &manifest["config"]["digest"])?)?;
    assert_eq!(config["os"], "linux");
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Entrypoint"][0], format!("/{name}"));
    let layers = manifest["layers"].as_array().context("no layers")?;
    assert_eq!(layers.len(), 2, "the base, and the program");
    for layer in layers {
        blob(layout.path(), &layer["digest"])?;
    }
    Ok(())
}

#[tokio::test]
async fn images_are_oci_layouts_and_the_same_each_time() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (first, second) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let programs = ["/bin/true", "/bin/cat", "/usr/bin/openssl"];
    for out in [&first, &second] {
        let built = build(programs, folder.path(), out.path()).await?;
        ensure!(built.is_ok(), "{built:?}");
    }
    for name in ["septem-operator", "septem-proxy", "septem-sink"] {
        let tarball = |out: &tempfile::TempDir| out.path().join(format!("{name}.tar"));
        check(&tarball(&first), name).await.with_context(|| name)?;
        ensure!(
            std::fs::read(tarball(&first))? == std::fs::read(tarball(&second))?,
            "{name} is not the same the second time"
        );
    }

    // curl asks for a library that the images do not have.
    let programs = ["/bin/true", "/bin/cat", "/usr/bin/curl"];
    let refused = build(programs, folder.path(), second.path()).await?;
    let said = refused.err().context("a missing library went unnoticed")?;
    ensure!(said.contains("septem-sink"), "{said}");
    Ok(())
}
