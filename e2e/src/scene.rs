//! What one test has for itself: a namespace, a module, tenants; and its turn on the shared stack.

use std::{panic::AssertUnwindSafe, sync::Mutex};

use anyhow::{Context as _, Result};
use futures::FutureExt as _;
use serde_json::{Value, json};
use tokio::sync::RwLock;
use uuid::Uuid;

use crate::{Api, Stack, kubectl};

/// Tests that only use the stack share it; one that kills parts of it, or measures it, has it alone.
static STACK_IN_USE: RwLock<()> = RwLock::const_new(());

/// The user who is admin of every tenant that a test makes.
pub const ADMIN: &str = "ada";

/// Whether a test can share the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// With others that share it.
    Shared,
    /// Alone: it stops parts, or measures.
    Alone,
}

/// A namespace and a module that no other test has, and the tenants made so far.
pub struct Scene {
    /// The running stack.
    pub stack: Stack,
    /// The module, which is also the name of the namespace.
    pub module: String,
    tenants: Mutex<Vec<String>>,
}

/// A tenant of a [`Scene`].
pub struct Tenant {
    /// Its id.
    pub id: Uuid,
    /// Name of the resource, also the slug.
    pub name: String,
    /// Its admin's connection.
    pub api: Api,
}

impl Scene {
    /// Plays a story on the running stack and removes its resources afterwards, also when it fails or panics.
    /// Their data stays, as `deletionPolicy: Retain` says.
    pub async fn play(turn: Turn, story: impl AsyncFnOnce(&Self) -> Result<()>) -> Result<()> {
        let (mut _shared, mut _alone) = (None, None);
        match turn {
            Turn::Shared => _shared = Some(STACK_IN_USE.read().await),
            Turn::Alone => _alone = Some(STACK_IN_USE.write().await),
        }
        let unique = Uuid::new_v4().simple().to_string();
        let scene = Self {
            stack: Stack::from_env(),
            module: format!("e2e{}", &unique[..10]),
            tenants: Mutex::default(),
        };
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": scene.module}});
        kubectl::apply(&namespace).await?;
        let told = AssertUnwindSafe(story(&scene)).catch_unwind().await;
        let cleared = scene.clear().await;
        match told {
            Ok(outcome) => outcome.and(cleared),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    async fn clear(&self) -> Result<()> {
        kubectl::delete(&["mm", "--all", "-n", &self.module])
            .await
            .context("remove the models")?;
        let tenants = std::mem::take(&mut *self.tenants.lock().expect("no panic while it is held"));
        for tenant in &tenants {
            kubectl::delete(&["tn", tenant])
                .await
                .context("remove the tenant")?;
        }
        kubectl::delete_soon(&["namespace", &self.module]).await
    }

    /// A `ModuleModel` resource of this scene's module with those members of `spec` besides module and model.
    pub fn model(&self, model: &str, spec: Value) -> Value {
        let mut resource = json!({
            "apiVersion": "data.septemcore.com/v1alpha1",
            "kind": "ModuleModel",
            "metadata": {"name": self.resource_name(model), "namespace": self.module},
            "spec": {"module": self.module, "model": model, "autoApi": true, "analytics": {"enabled": true}},
        });
        if let (Some(spec), Value::Object(more)) = (resource["spec"].as_object_mut(), spec) {
            spec.extend(more);
        }
        resource
    }

    /// Applies a model and waits until it is Ready.
    pub async fn apply_model(&self, model: &str, spec: Value) -> Result<()> {
        kubectl::apply(&self.model(model, spec)).await?;
        self.wait_model(model, "Ready").await
    }

    /// Waits for a condition of a model.
    pub async fn wait_model(&self, model: &str, condition: &str) -> Result<()> {
        let name = self.resource_name(model);
        kubectl::wait(&["mm", &name, "-n", &self.module], condition).await
    }

    /// Name of a model's resource.
    pub fn resource_name(&self, model: &str) -> String {
        format!("{}-{}", self.module, model.replace('_', "-"))
    }

    /// Applies a tenant that has this scene's module, and waits until it is Ready.
    pub async fn tenant(&self, label: &str) -> Result<Tenant> {
        let id = Uuid::now_v7();
        let name = format!("{}-{label}", self.module);
        self.tenants
            .lock()
            .expect("no panic while it is held")
            .push(name.clone());
        kubectl::apply(&self.tenant_resource(&name, id, json!({}))).await?;
        kubectl::wait(&["tn", &name], "Ready").await?;
        Ok(Tenant {
            id,
            name,
            api: Api::new(&self.stack, id, ADMIN)?,
        })
    }

    /// A `Tenant` resource that has this scene's module, with those members of `spec` changed or added.
    pub fn tenant_resource(&self, name: &str, id: Uuid, more: Value) -> Value {
        let mut resource = json!({
            "apiVersion": "data.septemcore.com/v1alpha1",
            "kind": "Tenant",
            "metadata": {"name": name},
            "spec": {
                "tenantId": id, "slug": name, "displayName": "Test",
                "modules": [self.module], "admins": [ADMIN],
            },
        });
        if let (Some(spec), Value::Object(more)) = (resource["spec"].as_object_mut(), more) {
            spec.extend(more);
        }
        resource
    }

    /// `/v1/data/{module}/{model}`.
    pub fn path(&self, model: &str) -> String {
        format!("/v1/data/{}/{model}", self.module)
    }
}
