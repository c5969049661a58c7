//! Prints every CRD as YAML, documents separated by `---`.

fn main() -> anyhow::Result<()> {
    println!("# Written by `make generate` (crdgen); do not edit.");
    for crd in crds::all() {
        println!("---\n{}", serde_yaml_ng::to_string(&crd)?.trim_end());
    }
    Ok(())
}
