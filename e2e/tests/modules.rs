//! References from one module to another, which belongs to another namespace.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::{Scene, kubectl, scene::Turn, truth, wait};
use serde_json::{Value, json};

/// A ModuleModel of any namespace and module.
fn resource(namespace: &str, name: &str, module: &str, model: &str, more: Value) -> Value {
    let mut spec = json!({"module": module, "model": model, "autoApi": true});
    if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
        spec.extend(more);
    }
    json!({
        "apiVersion": "data.septemcore.com/v1alpha1", "kind": "ModuleModel",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
}

#[tokio::test]
async fn a_module_refers_to_another_that_permits_it() -> Result<()> {
    Scene::play(Turn::Shared, async |scene| {
        let billing = format!("{}b", scene.module);
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": billing}});
        kubectl::apply(&namespace).await?;
        let told = story(scene, &billing).await;
        kubectl::delete(&["mm", "--all", "-n", &billing]).await?;
        kubectl::delete_soon(&["namespace", &billing]).await?;
        told
    })
    .await
}

async fn story(scene: &Scene, billing: &str) -> Result<()> {
    let crm = &scene.module;
    let customers = |permitted: &[&str]| json!({"fields": [{"name": "name", "type": "text"}], "referencedBy": permitted});
    scene.apply_model("customers", customers(&[])).await?;
    let invoices = json!({"fields": [
        {"name": "amount", "type": "decimal", "precision": 12, "scale": 2},
        {"name": "customer_id", "type": "uuid", "references": {"module": crm, "model": "customers"}},
    ]});
    let mm = ["mm", "invoices", "-n", billing];
    kubectl::apply(&resource(
        billing, "invoices", billing, "invoices", invoices,
    ))
    .await?;
    let waits = async || {
        let (_, reason, message) = kubectl::condition(&mm, "SchemaApplied").await?;
        ensure!(reason == "ReferenceNotPermitted", "{reason}: {message}");
        Ok(Some(message))
    };
    let message = wait::until("the refusal", Duration::from_secs(30), waits).await?;
    let owner = format!("{crm}/{}", scene.resource_name("customers"));
    ensure!(
        message
            == format!(
                "spec.fields[1].references: {crm}.customers belongs to ModuleModel {owner}, which does not let namespace {billing} refer to it; its owner adds {billing} to spec.referencedBy there"
            ),
        "{message}"
    );
    // Whoever claims the other's model in his own namespace has no say in it.
    let claim = resource(billing, "claim", crm, "customers", customers(&[billing]));
    kubectl::apply(&claim).await?;
    kubectl::wait(&["mm", "claim", "-n", billing], "Stalled").await?;
    kubectl::succeed(
        &["annotate", "mm", "invoices", "-n", billing, "look=again"],
        None,
    )
    .await?;
    wait::throughout(Duration::from_secs(3), || async {
        let (status, reason, _) = kubectl::condition(&mm, "SchemaApplied").await?;
        ensure!(status == "False", "{reason}");
        Ok(())
    })
    .await?;
    let tables = format!("select from pg_tables where schemaname = '{billing}'");
    ensure!(truth::psql(&scene.stack, &tables).await?.is_empty());
    kubectl::delete(&["mm", "claim", "-n", billing]).await?;

    // Its owner's word wakes it.
    scene
        .apply_model("customers", customers(&[billing]))
        .await?;
    kubectl::wait(&mm, "Ready").await?;
    // What stands keeps standing.
    scene.apply_model("customers", customers(&[])).await?;

    let acme = scene.tenant("acme").await?;
    let globex = scene.tenant("globex").await?.api;
    let both = json!({"modules": [crm, billing]});
    kubectl::apply(&scene.tenant_resource(&acme.name, acme.id, both)).await?;
    kubectl::wait(&["tn", &acme.name], "Ready").await?;
    let acme = &acme.api;
    let (of_crm, of_billing) = (
        scene.path("customers"),
        format!("/v1/data/{billing}/invoices"),
    );
    let id = uuid::Uuid::now_v7();
    // Both tenants have a customer of that id; one of them has no invoices at all.
    for api in [acme, &globex] {
        let customer = json!({"id": id, "name": "Ada"});
        api.post(&of_crm, &customer).await?.expect(201)?;
    }
    let installed = async || Ok((acme.get(&of_billing).await?.status == 200).then_some(()));
    wait::until(
        "the module to be installed",
        Duration::from_secs(30),
        installed,
    )
    .await?;
    let invoice = json!({"amount": "12.50", "customer_id": id});
    let invoice = acme.post(&of_billing, &invoice).await?.expect(201)?.id()?;
    let nobody = json!({"customer_id": uuid::Uuid::now_v7()});
    acme.post(&of_billing, &nobody).await?.expect(409)?;
    let one = acme
        .get(&format!("{of_billing}/{invoice}?include=customer"))
        .await?
        .expect(200)?
        .json()?;
    ensure!(one["data"]["customer"]["name"] == "Ada", "{one}");
    for hint in [
        "invoices",
        &format!("invoices!{billing}"),
        "invoices!customer_id",
    ] {
        let many = acme
            .get(&format!("{of_crm}/{id}?include={hint}"))
            .await?
            .expect(200)?
            .json()?;
        ensure!(
            many["data"]["invoices"][0]["id"] == json!(invoice),
            "{hint}: {many}"
        );
    }
    // For a tenant without the module there is no such relation.
    let unknown = globex
        .get(&format!("{of_crm}/{id}?include=invoices"))
        .await?
        .expect(400)?;
    ensure!(unknown.contains("UNKNOWN_FIELD"), "{}", unknown.text());
    ensure!(globex.get(&of_billing).await?.status == 404);

    let used = acme
        .delete(&format!("{of_crm}/{id}"))
        .await?
        .expect(409)?
        .json()?;
    ensure!(used["errors"][0]["field"] == "invoices", "{used}");
    globex
        .delete(&format!("{of_crm}/{id}"))
        .await?
        .expect(204)?;
    acme.delete(&format!("{of_billing}/{invoice}"))
        .await?
        .expect(204)?;
    acme.delete(&format!("{of_crm}/{id}")).await?.expect(204)?;
    Ok(())
}
