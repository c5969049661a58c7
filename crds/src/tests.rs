use super::*;

#[test]
fn the_crds_are_as_committed() {
    let mut text = String::from("# Written by `make generate` (crdgen); do not edit.\n");
    for crd in all() {
        text.push_str(&format!(
            "---\n{}\n",
            serde_yaml_ng::to_string(&crd).unwrap().trim_end()
        ));
    }
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../charts/septem-data/files/crds.yaml"
    );
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == text,
        "charts/septem-data/files/crds.yaml is not current: run `make generate`"
    );
}

#[test]
fn every_list_and_text_is_bounded() {
    fn walk(path: &str, schema: &serde_json::Value, unbounded: &mut Vec<String>) {
        match schema["type"].as_str() {
            Some("array") if schema["maxItems"].is_null() => unbounded.push(path.to_owned()),
            Some("string") if schema["maxLength"].is_null() && schema["enum"].is_null() => {
                unbounded.push(path.to_owned());
            }
            _ => {}
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            walk(&format!("{path}.{name}"), property, unbounded);
        }
        if !schema["items"].is_null() {
            walk(&format!("{path}[]"), &schema["items"], unbounded);
        }
    }
    for crd in all() {
        let version = &crd.spec.versions[0];
        let schema = version
            .schema
            .as_ref()
            .and_then(|s| s.open_api_v3_schema.as_ref())
            .unwrap();
        let spec = serde_json::to_value(schema).unwrap()["properties"]["spec"].clone();
        let mut unbounded = Vec::new();
        walk("spec", &spec, &mut unbounded);
        assert!(
            unbounded.is_empty(),
            "{}: {unbounded:?}",
            crd.spec.names.kind
        );
    }
}
